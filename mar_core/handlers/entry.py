"""What of a module is the handler, and whether it can explain, judged by its source; nothing runs.

Two steps: the module's classes are judged by their bases; what would be called is chosen as
TorchServe chooses it, as far as the text shows.
"""

from __future__ import annotations

import builtins
import enum
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mar_core.errors import HandlerError, MarError, ModelError
from mar_core.format.limits import spend
from mar_core.handlers.lookup import source_of
from mar_core.handlers.source import Module, parse_module
from mar_core.ts import compat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mar_core.handlers.lookup import FoundHandler
    from mar_core.handlers.source import ClassFacts

__all__ = [
    "HandlerEntry", "Kind", "find_entry", "loads_like_base_handler", "networks",
    "why_unexplained",
]  # fmt: skip

_HANDLER_HOMES = ("ts.torch_handler.", "mar_core.", "builtin_handlers.")
_NETWORK_HOMES = ("torch.nn.", "torchvision.models.")
_NETWORKS = {"torch.jit.ScriptModule", "torch.fx.GraphModule"}
# Bases that are no network and bring no ``handle``.
_PLAIN_HOMES = (
    "abc.", "enum.", "typing.", "typing_extensions.", "collections.", "dataclasses.",
    "torch.utils.data.", "torch.autograd.", "pydantic.",
)  # fmt: skip
_OWN_LOADING = {"_load_pickled_model", "_load_torchscript_model", "model_from_source"}
_DEFAULT = "handle"
_EXPLAINING = frozenset({"get_insights", "explain_handle"})
_OURS = "builtin_handlers."
_BASE = "mar_core.ts.base_handler"
_DEEPEST = 20


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
class HandlerEntry:
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


def find_entry(module: Module, entry: str | None) -> HandlerEntry:
    """Find what a handler's file defines to be called.

    Args:
        module: The file, parsed.
        entry: What the manifest names behind the colon, or None.
    """
    kinds = _handler_classes(module)
    if entry in kinds:
        if kinds[entry] is Kind.NO:
            return HandlerEntry(fault=f"The class {entry} has no method handle.")
        doubt = f"TorchServe would call the class {entry} itself instead of its handle."
        return HandlerEntry(name=entry, is_class=True, doubt=doubt)
    if (entry or _DEFAULT) in module.names:
        return HandlerEntry(name=entry or _DEFAULT)
    found = _by_classes(module, kinds)
    if entry and found.name and found.doubt is None:
        doubt = f"There is no {entry}; the class {found.name} is used, as in TorchServe."
        return HandlerEntry(name=found.name, is_class=True, doubt=doubt)
    return found


def _by_classes(module: Module, kinds: dict[str, Kind]) -> HandlerEntry:
    sure = _leaves(module, [name for name, kind in kinds.items() if kind is Kind.YES])
    perhaps = [name for name, kind in kinds.items() if kind is Kind.PERHAPS]
    if len(sure) > 1:
        return HandlerEntry(fault=f"It is not clear which class is the handler: {', '.join(sure)}.")
    candidates = sure or _leaves(module, perhaps)
    if not candidates:
        return HandlerEntry() if module.star_imports else HandlerEntry(fault=_nothing(kinds))
    chosen = candidates[0] if len(candidates) == 1 else None
    if len(kinds) > 1:
        doubt = f"The file has {len(kinds)} classes: {', '.join(kinds)}."
        return HandlerEntry(name=chosen, is_class=True, doubt=doubt)
    return HandlerEntry(name=chosen, is_class=True)


def _nothing(kinds: dict[str, Kind]) -> str:
    if kinds:
        return f"No class of the file has a method handle: {', '.join(kinds)}."
    return "The file defines no function handle and no class."


def why_unexplained(found: FoundHandler, module: Module | None) -> MarError | None:
    """Why ``--explain`` would fail for every input, or None where it may work.

    Args:
        found: The handler.
        module: Its file, parsed, where it is in the archive.
    """
    start = _start(found, module)
    if start is None:
        return None
    for link in _chain(start, depth=0):
        if link is None:  # what cannot be seen may explain
            return None
        if link.home == _BASE:
            break
        if link.facts.methods & _EXPLAINING:
            ours = link.home.startswith(_OURS)
            return _captum() if ours and importlib.util.find_spec("captum") is None else None
        if "handle" in link.facts.methods:  # it may do so in its own way
            return None
    return HandlerError(
        f"The handler {found.name!r} cannot explain: it has no get_insights(data, raw, target).",
        stage="explain",
        handler=found.name,
        hint="Leave --explain out, or write that method.",
    )


class _Link(NamedTuple):
    """A class of a handler's ancestry, and the module that it is in."""

    home: str
    module: Module
    facts: ClassFacts


def _start(found: FoundHandler, module: Module | None) -> _Link | None:
    if module is not None:
        entry = find_entry(module, found.entry)
        facts = module.classes.get(entry.name or "") if entry.is_class else None
        return None if facts is None else _Link(found.module, module, facts)
    target = found.target or (f"{found.module}:{found.entry}" if found.entry else "")
    home, _, name = target.partition(":")
    return _installed(home.strip(), name.strip()) if name else None


def _installed(home: str, name: str) -> _Link | None:
    home = _BASE if (home, name) == ("mar_core", "BaseHandler") else compat.home_of(home) or home
    module = parse_module(source_of(home) or b"")
    if not isinstance(module, Module):
        return None
    if name in module.classes:
        return _Link(home, module, module.classes[name])
    origin, _, other = module.imports.get(name, "").rpartition(".")
    return _installed(origin, other) if origin and origin != home else None


def _chain(link: _Link, *, depth: int) -> Iterator[_Link | None]:
    """A class, then its bases from left to right; None for one that cannot be seen."""
    yield link
    for base in link.facts.bases:
        home, _, name = base.rpartition(".")
        if base in link.module.classes:
            following: _Link | None = link._replace(facts=link.module.classes[base])
        elif base in {"ABC", "abc.ABC", "object"}:
            continue
        else:
            following = _installed(home, name) if home else None
        if following is None or depth > _DEEPEST:
            yield None
        else:
            yield from _chain(following, depth=depth + 1)


def _captum() -> ModelError:
    return ModelError(
        "Explanations need Captum, which is not installed.",
        hint="Install it: `pip install 'mar-core[explain]'`.",
    )
