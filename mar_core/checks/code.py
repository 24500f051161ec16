"""Code: the handler and the model file define what they must, and nothing else runs."""

from __future__ import annotations

import posixpath
import sys
from typing import TYPE_CHECKING

from mar_core.checks.table import finding
from mar_core.findings import printable
from mar_core.handlers.source import Kind, Module, SourceFault, find_entry, networks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.checks.subject import Subject
    from mar_core.findings import Finding

__all__ = ["code_findings"]

# Parsing costs; files that nobody names are parsed while they are few and small.
_MAX_OTHERS = 1 << 20
_STARTERS = {"sitecustomize", "usercustomize"}
_COMPILED = (".pyc", ".pyo")
_IMPORTABLE = (".py", ".so", ".pyd")
_LIBRARIES = frozenset(
    {
        "PIL", "builtin_handlers", "captum", "mar_core", "numpy", "packaging", "psutil", "torch",
        "torchaudio", "torchvision", "ts", "yaml",
    }
)  # fmt: skip
# In the standard library, but nothing there imports it.
_HARMLESS = {"test", "this", "antigravity"}
_RESERVED = (frozenset(sys.stdlib_module_names) - _HARMLESS) | _LIBRARIES


def code_findings(subject: Subject) -> Iterator[Finding]:
    """What is wrong with the code.

    Args:
        subject: The archive.
    """
    yield from _hidden_code(subject)
    yield from _shadows(subject)
    named = set()
    member = subject.handler.member if subject.handler else None
    if member and member.endswith(".py") and subject.manifest.runtime != "LSP":
        named.add(member)
        yield from _handler(subject, member)
    model_file = subject.manifest.model_file
    if model_file and model_file in subject.archive.members:
        named.add(model_file)
        yield from _model_file(subject, model_file)
    yield from _others(subject, named)


def _hidden_code(subject: Subject) -> Iterator[Finding]:
    for name in subject.archive.members:
        top = name.partition("/")[0].partition(".")[0]
        if top in _STARTERS and name.endswith((*_IMPORTABLE, *_COMPILED)):
            message = "Python runs a file of this name when it starts."
            yield finding("MAR-C007", message, member=name)
        elif "__pycache__" in name.split("/") or name.endswith(_COMPILED):
            message = "Compiled Python runs in place of the source that people can read."
            yield finding("MAR-C007", message, member=name)


def _shadows(subject: Subject) -> Iterator[Finding]:
    seen = set()
    for name in subject.archive.members:
        if not name.endswith(_IMPORTABLE):
            continue
        top = name.partition("/")[0].partition(".")[0]
        if top in _RESERVED and top not in seen:
            seen.add(top)
            message = f"It takes the name of the library {top}."
            yield finding("MAR-C008", message, member=name)


def _handler(subject: Subject, member: str) -> Iterator[Finding]:
    parsed = subject.parsed(member)
    if isinstance(parsed, SourceFault):
        yield _source_fault(member, parsed)
        return
    place = subject.handler
    entry = find_entry(parsed, place.entry if place else None)
    if entry.fault:
        wanted = f" and no {printable(place.entry)}" if place and place.entry else ""
        yield finding("MAR-C005", entry.fault.rstrip(".") + f"{wanted}.", member=member)
    elif entry.doubt:
        yield finding("MAR-C006", entry.doubt, member=member)


def _model_file(subject: Subject, member: str) -> Iterator[Finding]:
    parsed = subject.parsed(member)
    if isinstance(parsed, SourceFault):
        yield _source_fault(member, parsed)
        return
    fault, doubt = _judge_networks(parsed)
    if fault and subject.is_loaded_by_base_handler:
        yield finding("MAR-C003", fault, member=member)
    elif fault or doubt:
        yield finding("MAR-C004", fault or doubt, member=member)


def _judge_networks(module: Module) -> tuple[str, str]:
    """Why the file cannot be the model file, and why TorchServe would not take it."""
    kinds = networks(module)
    names = ", ".join(kinds)
    sure = [name for name, kind in kinds.items() if kind is Kind.YES]
    if not kinds:
        return "The file defines no class.", ""
    if len(sure) > 1:
        return f"The file defines {len(sure)} networks: {', '.join(sure)}.", ""
    if Kind.YES not in kinds.values() and Kind.PERHAPS not in kinds.values():
        return f"No class of the file is a torch.nn.Module: {names}.", ""
    return "", f"The file defines {len(kinds)} classes: {names}." if len(kinds) > 1 else ""


def _others(subject: Subject, named: set[str]) -> Iterator[Finding]:
    left = _MAX_OTHERS
    for name, member in subject.archive.members.items():
        if posixpath.splitext(name)[1] != ".py" or name in named or member.size > left:
            continue
        left -= member.size
        parsed = subject.parsed(name)
        if isinstance(parsed, SourceFault) and not parsed.large:
            yield finding("MAR-C002", parsed.message, member=name)


def _source_fault(member: str, fault: SourceFault) -> Finding:
    return finding("MAR-C009" if fault.large else "MAR-C001", fault.message, member=member)
