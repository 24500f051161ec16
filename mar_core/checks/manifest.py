"""The manifest: there, readable, with the right keys of the right types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core.checks.table import finding
from mar_core.findings import ValidationError, printable
from mar_core.format.manifest import MANIFEST_NAME, MODEL_NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.checks.subject import Subject
    from mar_core.findings import Finding

__all__ = ["check"]

_MAX_VERSION = 128
_RUNTIMES = ("python", "python3", "LSP")
_TOP_TEXTS = ("createdOn", "runtime", "archiverVersion", "description")
_MODEL_TEXTS = (
    "modelName", "modelVersion", "handler", "modelFile", "serializedFile", "requirementsFile",
    "configFile", "envelope", "description", "sourceVocab",
)  # fmt: skip
_EXPECTED = {dict: "an object", str: "a text", int: "a whole number", list: "a list"}


def check(subject: Subject) -> Iterator[Finding]:
    """What is wrong with the manifest.

    Args:
        subject: The archive.
    """
    if MANIFEST_NAME not in subject.archive.members:
        yield finding("MAR-M001", f"There is no {MANIFEST_NAME}.")
    elif isinstance(subject.manifest_fault, ValidationError):
        yield from subject.manifest_fault.findings
    elif subject.manifest_fault is not None:
        yield finding("MAR-M002", subject.manifest_fault.message, member=MANIFEST_NAME)
    else:
        data = subject.manifest.data
        yield from _types(data)
        yield from _needed(data)
        yield from _values(subject)


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
    found = {dict: "an object", list: "a list", str: "a text", bool: "a truth value"}
    what = "null" if value is None else found.get(type(value), "a number")
    message = f"{printable(key)} is {what}, where {_EXPECTED[kind]} is expected."
    return finding("MAR-M004", message, member=MANIFEST_NAME)


def _needed(data: dict[str, Any]) -> Iterator[Finding]:
    model = data.get("model", {})
    if "model" not in data:
        yield finding("MAR-M003", "The key model is missing.", member=MANIFEST_NAME)
    elif isinstance(model, dict):
        for key in ("modelName", "handler"):
            if model.get(key) in (None, ""):
                message = f"The key model.{key} is missing or empty."
                yield finding("MAR-M003", message, member=MANIFEST_NAME)
    missing = [key for key in ("createdOn", "archiverVersion") if key not in data]
    if missing:
        keys = " and ".join(missing)
        yield finding("MAR-M008", f"There is no {keys}.", member=MANIFEST_NAME)


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
    return finding(code, printable(message), member=MANIFEST_NAME)


def _is_plain(text: str) -> bool:
    return text.isprintable() and not set(text) & set("/\\")
