"""Python source, parsed and never run: what a module defines, and what of it is the handler.

Three steps: a file's text becomes a ``Module``; its classes are judged by their bases; what would
be called is chosen as TorchServe chooses it, as far as the text shows.
"""

from __future__ import annotations

import ast
import builtins
import codecs
import enum
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mar_core.format.budget import spend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "BINARY",
    "ClassFacts",
    "Entry",
    "Kind",
    "Module",
    "SourceFault",
    "find_entry",
    "is_binary",
    "loads_like_base_handler",
    "networks",
    "parse_module",
]

# An honest module has a few thousand; each costs about a kilobyte once it is parsed.
_MAX_TOKENS = 250_000
_HEAD = 4096
_SPACE = 0x20
_TOKEN = re.compile(rb"\w+|[^\w\s]")
_MAKES_NAMES = re.compile(rb"\b(?:globals|vars|setattr|exec|eval)\s*\(")
_NEVER_RUN = re.compile(r"__name__ == '__main__'|(?:typing\.)?TYPE_CHECKING")
_HANDLER_HOMES = ("ts.torch_handler.", "mar_core.", "builtin_handlers.")
_NETWORK_HOMES = ("torch.nn.", "torchvision.models.")
_NETWORKS = {"torch.jit.ScriptModule", "torch.fx.GraphModule"}
# Bases that are no network and bring no ``handle``.
_PLAIN_HOMES = (
    "abc.", "enum.", "typing.", "typing_extensions.", "collections.", "dataclasses.",
    "torch.utils.data.", "torch.autograd.", "pydantic.",
)  # fmt: skip
_OWN_LOADING = {"_load_pickled_model", "_load_torchscript_model"}


_DEFAULT = "handle"


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
    """

    name: str
    line: int
    bases: tuple[str, ...]
    methods: frozenset[str]
    attributes: frozenset[str]
    super_calls: dict[str, frozenset[str]]


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
    """

    classes: dict[str, ClassFacts] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    imports: dict[str, str] = field(default_factory=dict)
    star_imports: list[str] = field(default_factory=list)
    is_closed: bool = True

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
    )


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


class Kind(enum.Enum):
    """Whether a class is something: what it inherits from elsewhere may not be known."""

    YES = enum.auto()
    NO = enum.auto()
    PERHAPS = enum.auto()


def networks(module: Module) -> dict[str, Kind]:
    """For each class of a module, whether it is a ``torch.nn.Module``."""

    def judge(facts: ClassFacts) -> Kind:
        named = any(base in _NETWORKS for base in facts.bases)
        return Kind.YES if named else _by_bases(module, facts, _NETWORK_HOMES)

    return {name: _kind(module, facts, judge) for name, facts in module.classes.items()}


def _handler_classes(module: Module) -> dict[str, Kind]:
    """For each class of a module, whether it has a ``handle``."""

    def judge(facts: ClassFacts) -> Kind:
        named = "handle" in facts.methods | facts.attributes
        return Kind.YES if named else _by_bases(module, facts, _HANDLER_HOMES, _NETWORK_HOMES)

    return {name: _kind(module, facts, judge) for name, facts in module.classes.items()}


def _leaves(module: Module, names: Iterable[str]) -> list[str]:
    """The classes among these that none of the others inherits from."""
    names = list(names)
    inherited = {
        base.name
        for name in names
        for base in _with_bases(module, module.classes[name])
        if base.name != name
    }
    return [name for name in names if name not in inherited]


def loads_like_base_handler(module: Module, class_name: str) -> bool:
    """Whether a handler's model is certainly loaded as ``BaseHandler`` does it.

    Args:
        module: The handler's file.
        class_name: The handler's class.
    """
    chain = list(_with_bases(module, module.classes[class_name]))
    if not any(base.startswith(_HANDLER_HOMES) for facts in chain for base in facts.bases):
        return False
    for facts in chain:
        if facts.methods & _OWN_LOADING:
            return False
        if "initialize" in facts.methods:
            return "initialize" in facts.super_calls.get("initialize", ())
    return True


def _kind(module: Module, facts: ClassFacts, judge: Callable[[ClassFacts], Kind]) -> Kind:
    answers = [judge(link) for link in _with_bases(module, facts)]
    return next((kind for kind in (Kind.YES, Kind.PERHAPS) if kind in answers), Kind.NO)


def _by_bases(
    module: Module, facts: ClassFacts, homes: tuple[str, ...], strangers: tuple[str, ...] = ()
) -> Kind:
    if any(base.startswith(homes) for base in facts.bases):
        return Kind.YES
    plain = (*_PLAIN_HOMES, *strangers)
    known = all(
        base.startswith(plain) or base in module.classes or hasattr(builtins, base)
        for base in facts.bases
    )
    return Kind.NO if known else Kind.PERHAPS


def _with_bases(module: Module, facts: ClassFacts) -> Iterator[ClassFacts]:
    """A class and its bases of the same module."""
    todo, seen = [facts], set[str]()
    while todo:
        spend()
        link = todo.pop(0)
        if link.name in seen:
            continue
        seen.add(link.name)
        yield link
        todo.extend(module.classes[base] for base in link.bases if base in module.classes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What would be called, and what is to be said about it.

    Attributes:
        name: The function or class, or None where there is none or it cannot be told.
        is_class: Whether it is a class of the file.
        fault: Why there is none, or None.
        doubt: What TorchServe would make of it otherwise, or None.
    """

    name: str | None = None
    is_class: bool = False
    fault: str | None = None
    doubt: str | None = None


def find_entry(module: Module, entry: str | None) -> Entry:
    """Find what a handler's file defines to be called.

    Args:
        module: The file, parsed.
        entry: What the manifest names behind the colon, or None.
    """
    kinds = _handler_classes(module)
    if entry in kinds:
        if kinds[entry] is Kind.NO:
            return Entry(fault=f"The class {entry} has no method handle.")
        doubt = f"TorchServe would call the class {entry} itself instead of its handle."
        return Entry(name=entry, is_class=True, doubt=doubt)
    if (entry or _DEFAULT) in module.names:
        return Entry(name=entry or _DEFAULT)
    found = _by_classes(module, kinds)
    if entry and found.name and found.doubt is None:
        doubt = f"There is no {entry}; the class {found.name} is used, as in TorchServe."
        return Entry(name=found.name, is_class=True, doubt=doubt)
    return found


def _by_classes(module: Module, kinds: dict[str, Kind]) -> Entry:
    sure = _leaves(module, [name for name, kind in kinds.items() if kind is Kind.YES])
    perhaps = [name for name, kind in kinds.items() if kind is Kind.PERHAPS]
    if len(sure) > 1:
        return Entry(fault=f"It is not clear which class is the handler: {', '.join(sure)}.")
    candidates = sure or _leaves(module, perhaps)
    if not candidates:
        return Entry() if module.star_imports else Entry(fault=_nothing(kinds))
    chosen = candidates[0] if len(candidates) == 1 else None
    if len(kinds) > 1:
        doubt = f"The file has {len(kinds)} classes: {', '.join(kinds)}."
        return Entry(name=chosen, is_class=True, doubt=doubt)
    return Entry(name=chosen, is_class=True)


def _nothing(kinds: dict[str, Kind]) -> str:
    if kinds:
        return f"No class of the file has a method handle: {', '.join(kinds)}."
    return "The file defines no function handle and no class."
