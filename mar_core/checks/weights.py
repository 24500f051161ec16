"""Weights: what they say they are, whole, and trusted where loading them could run code.

The same holds for every other file that a handler could unpickle, whatever it is called.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from mar_core.checks.table import RULES, rule_finding
from mar_core.checks.trust import TRUST_CODES
from mar_core.findings import Severity
from mar_core.plugins import get_plugins
from mar_core.text import printable
from mar_core.weights import Trust
from mar_core.weights.loading import other_loaders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.checks.subject import Subject
    from mar_core.findings import Finding
    from mar_core.weights import WeightsFormat, WeightsReport

__all__ = ["weights_findings"]

_HEAD = 64
_WORD = RULES["MAR-W011"].remedy
# Endings of weights: a file of one of them is no text, whatever somebody meant to pack.
_NEVER_TEXT = (".pt", ".pth", ".bin", ".ckpt", ".pt2", ".ptl", ".npy", ".npz", ".pkl", ".pickle",
               ".pck", ".p", ".joblib", ".safetensors", ".onnx", ".so")  # fmt: skip
_POINTER = b"version https://git-lfs.github.com/spec/"
_NATIVE = "MAR-W013"


def weights_findings(subject: Subject) -> Iterator[Finding]:
    """What is wrong with the weights, and with other files that a handler may unpickle.

    Args:
        subject: The archive.
    """
    name = subject.manifest.serialized_file
    report = subject.weights
    if name and report is not None:
        for fault in report.faults:
            yield rule_finding(fault.code, printable(fault.message), member=name)
        yield from _use(subject, name, report)
    for other in subject.other_members:
        if other != name:
            yield from _other(other, subject.examine(other))


def _other(name: str, report: WeightsReport) -> Iterator[Finding]:
    """A file that nobody names as weights: damage is the handler's matter, what it could run ours.

    What cannot be looked into could run anything. A library is code of the archive, as its Python
    files are: only a handler that means to loads it.
    """
    row, library = report.format, report.format.name == "shared-library"
    if _is_python(row) and not library and TRUST_CODES.isdisjoint(f.code for f in report.faults):
        yield rule_finding("MAR-W011", f"The file is {row.title}.", member=name)
    for fault in report.faults:
        message = printable(fault.message)
        if library and fault.code == _NATIVE:
            continue
        if fault.code in TRUST_CODES:
            yield rule_finding(fault.code, message, member=name, hint=_WORD)
        elif fault.code == "MAR-W008":
            yield rule_finding(
                "MAR-W005", f"It cannot be checked. {message}", member=name, hint=_WORD
            )
        elif row.load is not None:
            yield rule_finding(fault.code, message, member=name, severity=Severity.WARNING)


def _is_python(row: WeightsFormat) -> bool:
    """Whether any file of the format may run code; of a pickle its content says that."""
    return row.trust is Trust.PYTHON and row.name != "pickle"


def _faults(name: str, report: WeightsReport) -> Iterator[Finding]:
    for fault in report.faults:
        yield rule_finding(fault.code, printable(fault.message), member=name)


def _use(subject: Subject, name: str, report: WeightsReport) -> Iterator[Finding]:
    row, model_file = report.format, subject.manifest.model_file
    told = {fault.code for fault in report.faults}
    if _is_python(row) and not told & TRUST_CODES:
        # A plugin's format that says what it is, and leaves it to us to say what follows.
        yield rule_finding("MAR-W011", f"The file is {row.title}.", member=name)
    if row.load is None:
        yield from _not_loaded(subject, name, row)
    elif not row.carries_structure and not report.pickled_code and not model_file:
        yield from _bare(subject, name)
    if row.carries_structure and model_file:
        message = f"The file is {row.name} and carries the network itself."
        yield rule_finding("MAR-W017", message, member=name)
    yield from _ending(subject, name, row)
    yield from _external(subject, name, report)


def _not_loaded(subject: Subject, name: str, row: WeightsFormat) -> Iterator[Finding]:
    """A file that no loader takes: an error where a loader would meet it, or it is a mistake."""
    instead = _instead_of_weights(subject, name, row)
    if subject.is_loaded_by_base_handler and not other_loaders(get_plugins()):
        message = (
            instead or f"The file is {row.title}, and the handler leaves it to mar to load it."
        )
        yield rule_finding("MAR-W002", message, member=name, hint=None if instead else row.hint)
    elif instead is not None and row.name != "empty":
        yield rule_finding("MAR-W002", instead, member=name)
    else:
        yield rule_finding("MAR-W014", instead or f"The file is {row.title}.", member=name)


def _bare(subject: Subject, name: str) -> Iterator[Finding]:
    if subject.is_loaded_by_base_handler:
        message = "The file is a state dict, and there is no model file that defines its network."
        yield rule_finding("MAR-W001", message, member=name)


def _instead_of_weights(subject: Subject, name: str, row: WeightsFormat) -> str | None:
    """What the file is, where it cannot be what somebody meant to pack."""
    if row.name == "empty":
        return "The file is empty."
    if row.name != "text":
        return None
    with subject.archive.open(name) as stream:
        head = stream.read(_HEAD)
    if head.startswith(_POINTER):
        return "The file is a git-lfs pointer, not the file that it points to."
    if head.lstrip()[:1] == b"<":
        return "The file is a web page."
    # Some formats are text: a plugin's, or what a handler of its own reads.
    return "The file is text." if name.lower().endswith(_NEVER_TEXT) else None


def _ending(subject: Subject, name: str, row: WeightsFormat) -> Iterator[Finding]:
    ending = posixpath.splitext(name)[1].lower()
    by_name = {other.name for other in subject.formats if ending in other.endings}
    if by_name and row.name not in by_name and row.name not in {"empty", "text"}:
        message = f"The file ends in {ending} and is {row.name}; mar goes by its content."
        yield rule_finding("MAR-W015", message, member=name)
    elif row.name == "torchscript" and ending != ".pt":
        message = (
            f"TorchServe loads TorchScript only from .pt files, and this is {ending or 'none'}."
        )
        yield rule_finding("MAR-W015", printable(message), member=name)


def _external(subject: Subject, name: str, report: WeightsReport) -> Iterator[Finding]:
    folder = posixpath.dirname(name)
    for location in report.external:
        if posixpath.join(folder, location) not in subject.archive.members:
            shown = printable(location)[:200]
            message = f"Some of its data is in the file {shown!r}, which is not in the archive."
            yield rule_finding("MAR-W012", message, member=name)
