"""Whether a handler can explain, as far as its text shows: asked before a model is loaded."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, NamedTuple

from mar_core.errors import HandlerError, MarError, ModelError
from mar_core.handlers.entry import find_entry
from mar_core.handlers.installed import source_of
from mar_core.handlers.source import Module, parse_module
from mar_core.ts import compat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.handlers.lookup import FoundHandler
    from mar_core.handlers.source import ClassFacts

__all__ = ["why_unexplained"]

_EXPLAINING = frozenset({"get_insights", "explain_handle"})
_OURS = "builtin_handlers."
_BASE = "mar_core.ts.base_handler"
_DEEPEST = 20


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
