"""What the manifest names: members that are there, and a handler that can be found."""

from __future__ import annotations

import posixpath
import sys
from typing import TYPE_CHECKING

from mar_core.checks.handlers import TORCHSERVE_ONLY, split_handler
from mar_core.checks.table import finding
from mar_core.errors import PluginError
from mar_core.findings import Severity, printable
from mar_core.format.manifest import MANIFEST_NAME
from mar_core.format.names import check_name
from mar_core.plugins import find_handler, nearest_handlers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.checks.subject import Subject
    from mar_core.findings import Finding

__all__ = ["check"]

_KEYS = {
    "modelFile": "the model file",
    "serializedFile": "the weights",
    "requirementsFile": "the requirements",
    "configFile": "the config",
}


def check(subject: Subject) -> Iterator[Finding]:
    """What the manifest names in vain.

    Args:
        subject: The archive.
    """
    for key, what in _KEYS.items():
        name = subject.manifest.model.get(key)
        if isinstance(name, str) and name:
            yield from _file(subject, what, name)
    if subject.manifest.handler is not None:
        yield from _handler(subject, subject.manifest.handler)


def _file(subject: Subject, what: str, name: str) -> Iterator[Finding]:
    if name in subject.archive.members:
        return
    shown = printable(name)
    if any(found.severity is Severity.ERROR for found in check_name(name)):
        yield _reference("MAR-R002", f"The manifest names {shown!r} as {what}: no member's name.")
        return
    base = posixpath.basename(name)
    near = [member for member in subject.archive.members if posixpath.basename(member) == base]
    also = f" There is {printable(near[0])!r}." if near else ""
    yield _reference("MAR-R001", f"The manifest names {shown!r} as {what}; it is not there.{also}")


def _handler(subject: Subject, name: str) -> Iterator[Finding]:
    manifest, place = subject.manifest, subject.handler
    if manifest.runtime == "LSP":
        return
    head, _ = split_handler(name)
    if place is not None and place.member is not None:
        return
    if "\\" in head or ".." in head.split("/") or head.startswith("/"):
        yield _reference("MAR-R002", f"The handler {printable(name)!r} is a path.")
    elif place is None:
        yield from _lost(subject, name, head)


def _lost(subject: Subject, name: str, head: str) -> Iterator[Finding]:
    """The handler is nowhere: say the most helpful thing about it."""
    shipped = subject.manifest.mar.get("handler")
    distribution = shipped.get("distribution") if isinstance(shipped, dict) else None
    shown = printable(name)
    if isinstance(distribution, str):
        message = f"The handler {shown!r} comes with {printable(distribution)}."
        hint = f"Install it where the archive is to run: `pip install {printable(distribution)}`."
        yield _reference("MAR-R004", message, hint=hint)
    elif head in TORCHSERVE_ONLY:
        yield _reference("MAR-R006", f"The handler {head!r} is TorchServe's own.")
    elif not head.endswith(".py") and head.partition(".")[0] in sys.stdlib_module_names:
        yield _reference("MAR-R005", f"The handler {shown!r} is in Python's standard library.")
    elif head.endswith(".py") or "/" in head:
        message = f"The manifest names {shown!r} as the handler; it is not there."
        yield _reference("MAR-R001", message)
    else:
        yield _unknown(head, shown)


def _unknown(head: str, shown: str) -> Finding:
    try:
        find_handler(head)
    except PluginError as error:
        return _reference("MAR-R003", error.message, hint=error.hint)
    near = nearest_handlers(head)
    message = (
        f"There is no handler {shown!r}: no file {printable(head)}.py in the archive, and no "
        "registered handler or installed module of that name."
    )
    suggestion = f"Did you mean {' or '.join(near)}?" if near else None
    return _reference("MAR-R003", message, hint=suggestion)


def _reference(code: str, message: str, *, hint: str | None = None) -> Finding:
    return finding(code, message, member=MANIFEST_NAME, hint=hint)
