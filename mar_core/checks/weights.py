"""Weights: what they say they are, whole, and harmless to load."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from mar_core.checks.table import finding
from mar_core.checks.validation import PICKLE_CODES
from mar_core.findings import printable
from mar_core.format.manifest import MANIFEST_NAME
from mar_core.weights import WeightsKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.checks.subject import Subject
    from mar_core.findings import Finding
    from mar_core.weights import WeightsReport

__all__ = ["weights_findings"]

_HEAD = 64
_BARE = {WeightsKind.TORCH, WeightsKind.TORCH_LEGACY, WeightsKind.SAFETENSORS}
_NATIVE = {WeightsKind.AOTINDUCTOR, WeightsKind.SHARED_LIBRARY}
_UNKNOWN = {
    WeightsKind.ZIP, WeightsKind.UNKNOWN, WeightsKind.PICKLE, WeightsKind.NUMPY, WeightsKind.TEXT,
}  # fmt: skip
# Endings that people give to what a handler may unpickle, and how such files begin.
_PICKLED = (".pkl", ".pickle", ".pck", ".p", ".joblib", ".pt", ".pth", ".bin", ".ckpt", ".pt2",
            ".ptl", ".npy", ".npz")  # fmt: skip
_MAGICS = (b"\x93NUMPY", *(b"\x80" + bytes([protocol]) for protocol in range(6)))
_ENDINGS = {
    ".safetensors": {WeightsKind.SAFETENSORS},
    ".onnx": {WeightsKind.ONNX},
    ".pt2": {WeightsKind.EXPORTED, WeightsKind.AOTINDUCTOR},
    ".so": {WeightsKind.SHARED_LIBRARY},
}
_NEVER_TEXT = (*_PICKLED, *_ENDINGS)
_POINTER = b"version https://git-lfs.github.com/spec/"


def weights_findings(subject: Subject) -> Iterator[Finding]:
    """What is wrong with the weights, and with other files that a handler may unpickle.

    Args:
        subject: The archive.
    """
    name = subject.manifest.serialized_file
    report = subject.weights
    if name and report is not None:
        yield from _faults(name, report)
        yield from _use(subject, name, report)
    elif not name:
        yield from _nothing(subject)
    for other in subject.archive.members:
        if other not in {name, MANIFEST_NAME}:
            yield from _other(subject, other)


def _other(subject: Subject, name: str) -> Iterator[Finding]:
    """A file that nobody names as weights; what it is decides whether it can be harmful."""
    named = name.lower().endswith(_PICKLED)
    with subject.archive.open(name) as stream:
        marked = stream.read(_HEAD).startswith(_MAGICS)
    if named or marked:
        for found in _faults(name, subject.examine(name)):
            # Any file may begin with a pickle's two bytes; it is one if it asks for something.
            if named or found.code in PICKLE_CODES:
                yield found


def _faults(name: str, report: WeightsReport) -> Iterator[Finding]:
    for fault in report.faults:
        yield finding(fault.code, printable(fault.message), member=name)


def _use(subject: Subject, name: str, report: WeightsReport) -> Iterator[Finding]:
    kind, model_file = report.kind, subject.manifest.model_file
    instead = _instead_of_weights(subject, name, kind)
    if instead is not None:
        yield finding("MAR-W002", instead, member=name)
    elif kind in _UNKNOWN:
        yield finding("MAR-W014", f"The format of the file is {kind.value}.", member=name)
    elif kind in _NATIVE:
        yield finding("MAR-W013", "The file holds native code.", member=name)
    if kind in _BARE and not report.pickled_code and not model_file:
        yield from _bare(subject, name)
    if kind.carries_structure and model_file:
        message = f"The file is {kind.value} and carries the network itself."
        yield finding("MAR-W017", message, member=name)
    yield from _ending(name, kind)
    yield from _external(subject, name, report)


def _bare(subject: Subject, name: str) -> Iterator[Finding]:
    if subject.is_loaded_by_base_handler:
        message = "The file is a state dict, and there is no model file that defines its network."
        yield finding("MAR-W001", message, member=name)


def _nothing(subject: Subject) -> Iterator[Finding]:
    if not subject.manifest.model_file and subject.is_loaded_by_base_handler:
        message = "The manifest names neither weights nor a model file."
        yield finding("MAR-R007", message, member=MANIFEST_NAME)


def _instead_of_weights(subject: Subject, name: str, kind: WeightsKind) -> str | None:
    """What the file is, where it cannot be what somebody meant to pack."""
    if kind is WeightsKind.EMPTY:
        return "The file is empty."
    if kind is not WeightsKind.TEXT:
        return None
    with subject.archive.open(name) as stream:
        head = stream.read(_HEAD)
    if head.startswith(_POINTER):
        return "The file is a git-lfs pointer, not the file that it points to."
    if head.lstrip()[:1] == b"<":
        return "The file is a web page."
    # Some formats are text: a plugin's, or what a handler of its own reads.
    return "The file is text." if name.lower().endswith(_NEVER_TEXT) else None


def _ending(name: str, kind: WeightsKind) -> Iterator[Finding]:
    ending = posixpath.splitext(name)[1].lower()
    by_name = _ENDINGS.get(ending, {kind})
    if kind not in by_name and kind not in {WeightsKind.EMPTY, WeightsKind.TEXT}:
        message = f"The file ends in {ending} and is {kind.value}; mar goes by its content."
        yield finding("MAR-W015", message, member=name)
    elif kind is WeightsKind.TORCHSCRIPT and ending != ".pt":
        message = (
            f"TorchServe loads TorchScript only from .pt files, and this is {ending or 'none'}."
        )
        yield finding("MAR-W015", printable(message), member=name)


def _external(subject: Subject, name: str, report: WeightsReport) -> Iterator[Finding]:
    folder = posixpath.dirname(name)
    for location in report.external:
        inside = posixpath.normpath(location) == location and not location.startswith(("/", ".."))
        if not inside or posixpath.join(folder, location) not in subject.archive.members:
            shown = printable(location)[:200]
            message = f"Some of its data is in the file {shown!r}, which is not in the archive."
            yield finding("MAR-W012", message, member=name)
