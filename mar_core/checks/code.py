"""Code: the handler and the model file define what they must, and nothing else runs."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import posixpath
import sys
from typing import TYPE_CHECKING

from mar_core.checks.table import rule_finding
from mar_core.findings import Severity
from mar_core.format.names import folded
from mar_core.handlers.entry import Kind, find_entry, networks
from mar_core.handlers.lookup import is_installed
from mar_core.handlers.source import Module, SourceFault
from mar_core.signature import SignatureError
from mar_core.signature.declared import evaluated
from mar_core.text import printable
from mar_core.weights.model_file import class_to_write

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterator

    from mar_core.checks.subject import Subject
    from mar_core.findings import Finding

__all__ = ["code_findings"]


class _Form(enum.Enum):
    """What a file can be of a module."""

    PACKAGE = enum.auto()
    EXTENSION = enum.auto()
    SOURCE = enum.auto()
    FOLDER = enum.auto()


# Parsing costs; files that nobody names are parsed while they are few and small.
_MAX_OTHERS = 1 << 20
_NO_MODEL_FILE = "Weights that carry their network, such as TorchScript, need no --model-file."
_STARTERS = {"sitecustomize", "usercustomize"}
_COMPILED = (".pyc", ".pyo")
_EXTENSIONS = (".so", ".pyd", ".dylib")
_IMPORTABLE = (".py", *_EXTENSIONS)
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
    yield from _twins(subject)
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
            yield rule_finding("MAR-C007", message, member=name)
        elif "__pycache__" in name.split("/") or name.endswith(_COMPILED):
            message = "Compiled Python runs in place of the source that people can read."
            yield rule_finding("MAR-C007", message, member=name)


def _shadows(subject: Subject) -> Iterator[Finding]:
    seen = set()
    for name in subject.archive.members:
        if not name.endswith(_IMPORTABLE):
            continue
        top, _, inner = name.partition("/")
        top = top.partition(".")[0]
        # A folder without __init__.py gives way to a library of its name; of ts there may be none.
        hides = not inner or inner.startswith("__init__.") or top == "ts"
        if top in _RESERVED and top not in seen and hides:
            seen.add(top)
            message = f"It takes the name of the library {top}."
            yield rule_finding("MAR-C008", message, member=name)


def _twins(subject: Subject) -> Iterator[Finding]:
    """Files that are one module to Python: a package before an extension, a source, a folder."""
    modules: dict[str, dict[_Form, str]] = {}
    for name in subject.archive.members:
        for module, form in _modules(name):
            modules.setdefault(folded(module), {}).setdefault(form, name)
    named = {subject.manifest.model_file, subject.handler.member if subject.handler else None}
    for name in filter(None, named):
        for folder in itertools.accumulate(name.split("/")[:-1], "{}/{}".format):
            forms = modules.setdefault(folded(folder), {})
            if _Form.PACKAGE not in forms:  # which would be a module of its own
                forms[_Form.FOLDER] = name
    for forms in modules.values():
        if len(forms) > 1:
            files = sorted(forms.values(), key=len)
            message = f"Python sees one module in {' and '.join(map(printable, files))}."
            found = rule_finding("MAR-C010", message, member=files[0])
            # What is looked at must be what runs; elsewhere it works as in TorchServe.
            harmless = named.isdisjoint(files)
            yield dataclasses.replace(found, severity=Severity.WARNING) if harmless else found


def _modules(name: str) -> Iterator[tuple[str, _Form]]:
    """The modules that a file is, as paths without an ending, and what it is of each."""
    folder, _, file = name.rpartition("/")
    stem = file.partition(".")[0]
    if not file.endswith(_IMPORTABLE):
        return
    if file.endswith(".py"):
        stem = file.removesuffix(".py")  # a dot in it: nobody can import it
    path = f"{folder}/{stem}" if folder else stem
    yield path, _Form.EXTENSION if file.endswith(_EXTENSIONS) else _Form.SOURCE
    if stem == "__init__" and folder:
        yield folder, _Form.PACKAGE


def _handler(subject: Subject, member: str) -> Iterator[Finding]:
    parsed = subject.parsed(member)
    if isinstance(parsed, SourceFault):
        yield _source_fault(member, parsed)
        return
    place = subject.handler
    entry = find_entry(parsed, place.entry if place else None)
    if entry.fault:
        wanted = f" and no {printable(place.entry)}" if place and place.entry else ""
        yield rule_finding("MAR-C005", entry.fault.rstrip(".") + f"{wanted}.", member=member)
    elif entry.doubt:
        yield rule_finding("MAR-C006", entry.doubt, member=member)
    place_of_it = parsed.classes[entry.name] if entry.is_class and entry.name else parsed
    yield from _signature(place_of_it.signature, member)


def _signature(declaration: ast.expr | None, member: str) -> Iterator[Finding]:
    if declaration is not None:
        try:
            evaluated(declaration)
        except SignatureError as error:
            yield rule_finding("MAR-C011", printable(error.message), member=member)


def _model_file(subject: Subject, member: str) -> Iterator[Finding]:
    parsed = subject.parsed(member)
    if isinstance(parsed, SourceFault):
        yield _source_fault(member, parsed)
        return
    fault, hint = _network_fault(parsed)
    if fault:
        code = "MAR-C003" if subject.is_loaded_by_base_handler else "MAR-C004"
        yield rule_finding(code, fault, member=member, hint=hint)
    elif len(parsed.classes) > 1:
        names = ", ".join(parsed.classes)
        message = f"The file defines {len(parsed.classes)} classes: {names}."
        yield rule_finding("MAR-C004", message, member=member)


def _network_fault(module: Module) -> tuple[str, str | None]:
    """Why the file cannot be the model file, and what to do; two empty ones where it can."""
    kinds = networks(module)
    sure = [name for name, kind in kinds.items() if kind is Kind.YES]
    if not kinds and not module.star_imports:
        return "The file defines no class.", f"{_what_to_write(module)} {_NO_MODEL_FILE}"
    if len(sure) > 1:
        return f"The file defines {len(sure)} networks: {', '.join(sure)}.", None
    if kinds and Kind.YES not in kinds.values() and Kind.PERHAPS not in kinds.values():
        names = ", ".join(kinds)
        hint = "Derive the network from torch.nn.Module."
        return f"No class of the file is a torch.nn.Module: {names}.", f"{hint} {_NO_MODEL_FILE}"
    return "", None


def _what_to_write(module: Module) -> str:
    """The class that is missing, around what the file makes a network with, where that is clear."""
    makers = [
        name
        for name, full in module.imports.items()
        if full.partition(".")[0] not in sys.stdlib_module_names and not is_installed(full)
    ]
    makers = sorted(module.functions) or makers
    if not makers:
        return "Define the network there, as a class derived from torch.nn.Module."
    name = makers[0] if len(makers) == 1 else None
    return class_to_write(name, is_class=name is not None and name[:1].isupper())


def _others(subject: Subject, named: set[str]) -> Iterator[Finding]:
    left = _MAX_OTHERS
    for name, member in subject.archive.members.items():
        if posixpath.splitext(name)[1] != ".py" or name in named or member.size > left:
            continue
        left -= member.size
        parsed = subject.parsed(name)
        if isinstance(parsed, SourceFault) and not parsed.large:
            yield rule_finding("MAR-C002", parsed.message, member=name, hint=parsed.hint)


def _source_fault(member: str, fault: SourceFault) -> Finding:
    code = "MAR-C009" if fault.large else "MAR-C001"
    return rule_finding(code, fault.message, member=member, hint=fault.hint)
