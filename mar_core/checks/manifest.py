"""The manifest: there, readable, of the right types, and what it names is in the archive."""

from __future__ import annotations

import dataclasses
import json
import posixpath
from typing import TYPE_CHECKING, Any

from mar_core.checks.table import rule_finding
from mar_core.findings import Severity, ValidationError, has_errors
from mar_core.format.manifest import MANIFEST_NAME, MODEL_NAME_PATTERN
from mar_core.format.names import check_name
from mar_core.handlers.lookup import Reason, missing_entry, split_handler, why_absent
from mar_core.signature import Signature, SignatureError
from mar_core.text import printable
from mar_core.ts.util import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.checks.subject import Subject
    from mar_core.findings import Finding

__all__ = ["manifest_findings", "reference_findings"]

_MAX_LABELS = 16 << 20
_MAX_VERSION = 128
_RUNTIMES = ("python", "python3", "LSP")
_TOP_TEXTS = ("createdOn", "runtime", "archiverVersion", "description")
_MODEL_TEXTS = (
    "modelName", "modelVersion", "handler", "modelFile", "serializedFile", "requirementsFile",
    "configFile", "envelope", "description", "sourceVocab",
)  # fmt: skip
_EXPECTED = {dict: "an object", str: "a string", int: "an integer", list: "an array"}


def manifest_findings(subject: Subject) -> Iterator[Finding]:
    """What is wrong with the manifest.

    Args:
        subject: The archive.
    """
    if MANIFEST_NAME not in subject.archive.members:
        yield rule_finding("MAR-M001", f"There is no {MANIFEST_NAME}.")
    elif isinstance(subject.manifest_fault, ValidationError):
        yield from subject.manifest_fault.findings
    elif subject.manifest_fault is not None:
        yield rule_finding("MAR-M002", subject.manifest_fault.message, member=MANIFEST_NAME)
    else:
        data = subject.manifest.data
        yield from _types(data)
        yield from _needed(data)
        yield from _values(subject)
        yield from _signature(subject.manifest.mar)


def _types(data: dict[str, Any]) -> Iterator[Finding]:
    yield from _typed(data, "model", dict)
    for key in _TOP_TEXTS:
        yield from _typed(data, key, str)
    for key in _MODEL_TEXTS:
        yield from _typed(data.get("model"), key, str, prefix="model.")
    yield from _typed(data, "mar", dict)
    yield from _our_types(data.get("mar"))


def _our_types(ours: Any) -> Iterator[Finding]:
    for key in ("members", "handler"):
        yield from _typed(ours, key, dict, prefix="mar.")
    if not isinstance(ours, dict):
        return
    for key in ("distribution", "version"):
        yield from _typed(ours.get("handler"), key, str, prefix="mar.handler.")
    members = ours.get("members")
    for name, entry in members.items() if isinstance(members, dict) else ():
        prefix = f"mar.members[{name!r}]"
        if not isinstance(entry, dict):
            yield _wrong(prefix, entry, dict)
            continue
        yield from _typed(entry, "size", int, prefix=f"{prefix}.")
        yield from _typed(entry, "sha256", str, prefix=f"{prefix}.")


def _signature(ours: dict[str, Any]) -> Iterator[Finding]:
    if "signature" in ours:
        try:
            Signature.from_dict(ours["signature"])
        except SignatureError as error:
            message = f"mar.signature: {printable(error.message)}"
            yield rule_finding("MAR-M009", message, member=MANIFEST_NAME)


def _typed(record: Any, key: str, kind: type, *, prefix: str = "") -> Iterator[Finding]:
    """A finding if the record has the key with a value of another type."""
    if not isinstance(record, dict) or key not in record:
        return
    value = record[key]
    if value is None and prefix == "model.":  # TorchServe takes null for a key that is not there
        return
    if not isinstance(value, kind) or isinstance(value, bool):
        yield _wrong(f"{prefix}{key}", value, kind)


def _wrong(key: str, value: Any, kind: type) -> Finding:
    found = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    what = "null" if value is None else found.get(type(value), "a number")
    message = f"{printable(key)} is {what}, where {_EXPECTED[kind]} is expected."
    return rule_finding("MAR-M004", message, member=MANIFEST_NAME)


def _needed(data: dict[str, Any]) -> Iterator[Finding]:
    model = data.get("model", {})
    if "model" not in data:
        yield rule_finding("MAR-M003", "The key model is missing.", member=MANIFEST_NAME)
    elif isinstance(model, dict):
        for key in ("modelName", "handler"):
            if model.get(key) in (None, ""):
                message = f"The key model.{key} is missing or empty."
                yield rule_finding("MAR-M003", message, member=MANIFEST_NAME)
    missing = [key for key in ("createdOn", "archiverVersion") if key not in data]
    if missing:
        keys = " and ".join(missing)
        yield rule_finding("MAR-M008", f"There is no {keys}.", member=MANIFEST_NAME)


def _values(subject: Subject) -> Iterator[Finding]:
    manifest = subject.manifest
    name, version, runtime = manifest.model_name, manifest.model_version, manifest.runtime
    if name is not None and not MODEL_NAME_PATTERN.fullmatch(name):
        yield _value("MAR-M005", f"The model's name {name!r} has other characters than allowed.")
    if version is not None and (len(version) > _MAX_VERSION or not _is_plain(version)):
        yield _value("MAR-M005", f"The model's version {version[:_MAX_VERSION]!r} is not plain.")
    if runtime not in _RUNTIMES:
        yield _value("MAR-M006", f"The runtime is {runtime!r}.")
    elif runtime == "LSP":
        yield _value("MAR-M007", "The handler is written in C++.")


def _value(code: str, message: str) -> Finding:
    return rule_finding(code, printable(message), member=MANIFEST_NAME)


def _is_plain(text: str) -> bool:
    return text.isprintable() and not set(text) & set("/\\")


_KEYS = {
    "modelFile": "the model file",
    "serializedFile": "the weights",
    "requirementsFile": "the requirements",
    "configFile": "the config",
}


def reference_findings(subject: Subject) -> Iterator[Finding]:
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
    yield from _class_names(subject)
    if not subject.manifest.serialized_file:
        yield from _no_weights(subject)


def _file(subject: Subject, what: str, name: str) -> Iterator[Finding]:
    if name in subject.archive.members:
        return
    shown = printable(name)
    if has_errors(check_name(name)):
        yield _reference("MAR-R002", f"The manifest names {shown!r} as {what}: no member's name.")
        return
    base = posixpath.basename(name)
    near = [member for member in subject.archive.members if posixpath.basename(member) == base]
    also = f" There is {printable(near[0])!r}." if near else ""
    yield _reference("MAR-R001", f"The manifest names {shown!r} as {what}; it is not there.{also}")


def _class_names(subject: Subject) -> Iterator[Finding]:
    """``BaseHandler`` reads index_to_name.json when it is initialized, and fails with a bad one."""
    member = subject.archive.members.get(LABELS)
    if member is None or member.size > _MAX_LABELS:
        return
    fault = ""
    try:
        names = json.loads(subject.archive.read(LABELS))
    except (ValueError, RecursionError) as error:
        fault = f"The file is not JSON: {str(error)[:200]}."
    else:
        if not isinstance(names, dict):
            fault = "The file does not hold a JSON object."
    if fault:
        found = rule_finding("MAR-R009", printable(fault), member=LABELS)
        certain = subject.is_loaded_by_base_handler
        yield found if certain else dataclasses.replace(found, severity=Severity.WARNING)


def _no_weights(subject: Subject) -> Iterator[Finding]:
    if not subject.is_loaded_by_base_handler:
        return
    if not subject.manifest.model_file:
        message = "The manifest names neither weights nor a model file."
        yield rule_finding("MAR-R007", message, member=MANIFEST_NAME)
    else:
        message = "There are no weights: the model keeps the numbers that its constructor gives it."
        yield rule_finding("MAR-R011", message, member=MANIFEST_NAME)


_ABSENT = {
    Reason.SHIPPED: "MAR-R004",
    Reason.TORCHSERVE: "MAR-R006",
    Reason.STANDARD_LIBRARY: "MAR-R005",
    Reason.FILE: "MAR-R001",
    Reason.DOTS: "MAR-R008",
}


def _handler(subject: Subject, name: str) -> Iterator[Finding]:
    found = subject.handler
    if subject.manifest.runtime == "LSP" or (found is not None and found.member is not None):
        return
    head, _ = split_handler(name)
    if "\\" in head or ".." in head.split("/") or head.startswith("/"):
        yield _reference("MAR-R002", f"The handler {printable(name)!r} is a path.")
    elif found is None:
        absence = why_absent(subject.manifest, subject.archive.members)
        code = _ABSENT.get(absence.reason, "MAR-R003")
        hint = printable(absence.hint) if absence.hint else None
        yield _reference(code, printable(absence.message), hint=hint)
    else:
        absent = missing_entry(found)
        if absent is not None:
            yield _reference("MAR-R003", printable(absent.message), hint=absent.hint)


def _reference(code: str, message: str, *, hint: str | None = None) -> Finding:
    return rule_finding(code, message, member=MANIFEST_NAME, hint=hint)
