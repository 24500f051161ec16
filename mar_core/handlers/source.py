"""Python source, parsed and never run: a file's text becomes a ``Module``, what it defines."""

from __future__ import annotations

import ast
import codecs
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["BINARY", "ClassFacts", "Module", "SourceFault", "is_binary", "parse_module"]

# An honest module has a few thousand; each costs about a kilobyte once it is parsed.
_MAX_TOKENS = 250_000
_HEAD = 4096
_SPACE = 0x20
_TOKEN = re.compile(rb"\w+|[^\w\s]")
_MAKES_NAMES = re.compile(rb"\b(?:globals|vars|setattr|exec|eval)\s*\(")
_NEVER_RUN = re.compile(r"__name__ == '__main__'|(?:typing\.)?TYPE_CHECKING")


@dataclass(frozen=True, slots=True)
class SourceFault:
    """Why a file could not be parsed.

    Attributes:
        message: One sentence.
        large: Whether it is merely too large.
        hint: What to do, where it is another thing than to correct the line.
    """

    message: str
    large: bool = False
    hint: str | None = None


BINARY = SourceFault(
    "The file is binary, not Python.", hint="Give a .py file; weights go with --serialized-file."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFacts:
    """One class of a module.

    Attributes:
        name: Its name.
        line: Where it begins.
        bases: Its bases with the names that they are imported by spelt out.
        methods: The names that its body binds.
        attributes: The names that its methods set on ``self``.
        super_calls: For each method, the methods that it calls on its base.
        signature: What its body gives the name ``signature``, not evaluated; None where nothing.
    """

    name: str
    line: int
    bases: tuple[str, ...]
    methods: frozenset[str]
    attributes: frozenset[str]
    super_calls: dict[str, frozenset[str]]
    signature: ast.expr | None = None


@dataclass(slots=True)
class Module:
    """What a module defines.

    Attributes:
        classes: Its classes at the top level, by name.
        functions: Its functions at the top level.
        names: Every name that its top level binds.
        imports: What imported names stand for.
        star_imports: The modules that it imports everything from.
        is_closed: Whether ``names`` is all that it has, as far as its text shows.
        signature: What it gives the name ``signature`` at its top level, not evaluated.
    """

    classes: dict[str, ClassFacts] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    imports: dict[str, str] = field(default_factory=dict)
    star_imports: list[str] = field(default_factory=list)
    is_closed: bool = True
    signature: ast.expr | None = None

    def full_name(self, dotted: str) -> str:
        """The name with its first part replaced by what it is imported as."""
        head, dot, rest = dotted.partition(".")
        return f"{self.imports.get(head, head)}{dot}{rest}"


def is_binary(head: bytes) -> bool:
    """Whether a file that begins so is none that Python could read, such as weights."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in head:
        return True
    controls = sum(byte < _SPACE and byte not in b"\t\n\r\f" for byte in head)
    return controls > len(head) // 10


def parse_module(source: bytes) -> Module | SourceFault:
    """Parse Python source and note what it defines; nothing of it runs.

    Args:
        source: The file's bytes.
    """
    if is_binary(source[:_HEAD]):
        return BINARY
    tokens = sum(1 for _ in _TOKEN.finditer(source))
    if tokens > _MAX_TOKENS:
        return SourceFault(f"The file has more than {_MAX_TOKENS:,} words and signs.", large=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a string is not our user's doing
            module = _facts(ast.parse(source))
    except SyntaxError as error:
        where = f" in line {error.lineno}" if error.lineno else ""
        return SourceFault(f"The file is not Python: {error.msg}{where}.")
    except (ValueError, RecursionError, MemoryError):
        return SourceFault("The file cannot be parsed as Python: it is nested too deeply.")
    module.is_closed = not (
        module.star_imports or "__getattr__" in module.names or _MAKES_NAMES.search(source)
    )
    return module


def _facts(tree: ast.Module) -> Module:
    module = Module()
    for statement in _top_level(tree.body):
        _note(module, statement)
    return module


def _top_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when the module is imported, those in branches included."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If) and _NEVER_RUN.fullmatch(ast.unparse(statement.test)):
            yield from _top_level(statement.orelse)
        elif isinstance(statement, (ast.If, ast.Try, ast.With, ast.For, ast.While)):
            for part in ("body", "orelse", "finalbody"):
                yield from _top_level(getattr(statement, part, []))
            for handler in getattr(statement, "handlers", []):
                yield from _top_level(handler.body)


def _note(module: Module, statement: ast.stmt) -> None:
    if isinstance(statement, ast.ClassDef):
        module.classes[statement.name] = _class(module, statement)
        module.names.add(statement.name)
    elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        module.functions.add(statement.name)
        module.names.add(statement.name)
    elif isinstance(statement, ast.Import):
        for alias in statement.names:
            bound = alias.asname or alias.name.partition(".")[0]
            module.imports[bound] = alias.name if alias.asname else bound
            module.names.add(bound)
    elif isinstance(statement, ast.ImportFrom):
        _note_import_from(module, statement)
    elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
        _note_assignment(module, statement)


def _note_import_from(module: Module, statement: ast.ImportFrom) -> None:
    origin = "." * statement.level + (statement.module or "")
    for alias in statement.names:
        if alias.name == "*":
            module.star_imports.append(origin)
        else:
            bound = alias.asname or alias.name
            module.imports[bound] = f"{origin}.{alias.name}"
            module.names.add(bound)


def _note_assignment(module: Module, statement: ast.Assign | ast.AnnAssign) -> None:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    module.signature = _signature([statement]) or module.signature
    for target in targets:
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                module.names.add(node.id)
        if isinstance(target, ast.Name) and isinstance(statement.value, (ast.Name, ast.Attribute)):
            module.imports[target.id] = module.full_name(ast.unparse(statement.value))


def _class(module: Module, node: ast.ClassDef) -> ClassFacts:
    functions = [n for n in node.body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    bound = {function.name for function in functions}
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            bound.update(t.id for t in statement.targets if isinstance(t, ast.Name))
    return ClassFacts(
        name=node.name,
        line=node.lineno,
        bases=tuple(module.full_name(_base_name(base)) for base in node.bases),
        methods=frozenset(bound),
        attributes=frozenset(_self_attributes(functions)),
        super_calls={function.name: frozenset(_super_calls(function)) for function in functions},
        signature=_signature(node.body),
    )


def _signature(body: Iterable[ast.stmt]) -> ast.expr | None:
    """What these statements give the name ``signature``, the last of them."""
    found = None
    for statement in body:
        if isinstance(statement, (ast.Assign, ast.AnnAssign)):
            assigned = (
                statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            )
            if any(isinstance(one, ast.Name) and one.id == "signature" for one in assigned):
                found = statement.value or found
    return found


def _base_name(base: ast.expr) -> str:
    return ast.unparse(base.value if isinstance(base, ast.Subscript) else base)


def _self_attributes(functions: Iterable[ast.AST]) -> Iterator[str]:
    for function in functions:
        for node in ast.walk(function):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
            ):
                yield node.attr


def _super_calls(function: ast.AST) -> Iterator[str]:
    """The methods called as ``super().name(…)`` or ``Base.name(self, …)``."""
    for node in ast.walk(function):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = node.func.value
        by_super = isinstance(owner, ast.Call) and ast.unparse(owner.func) == "super"
        first = ast.unparse(node.args[0]) if node.args else ""
        if by_super or (isinstance(owner, (ast.Name, ast.Attribute)) and first == "self"):
            yield node.func.attr
