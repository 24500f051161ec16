"""What of a handler's file would be called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mar_core.checks.classes import Kind, handler_classes, leaves, loads_like_base_handler

if TYPE_CHECKING:
    from mar_core.checks.python import Module
    from mar_core.checks.subject import Subject

__all__ = ["Entry", "find_entry", "is_loaded_by_base_handler"]

_DEFAULT = "handle"
_HOST = "mar-core"


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
    kinds = handler_classes(module)
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


def is_loaded_by_base_handler(subject: Subject) -> bool:
    """Whether the model is certainly loaded as ``BaseHandler`` does it, not by the handler."""
    place, module = subject.handler, subject.handler_module
    if place is None:
        return False
    if place.member is None:
        return place.distribution == _HOST
    if module is None:
        return False
    entry = find_entry(module, place.entry)
    return bool(entry.is_class and entry.name) and loads_like_base_handler(module, entry.name or "")


def _by_classes(module: Module, kinds: dict[str, Kind]) -> Entry:
    sure = leaves(module, [name for name, kind in kinds.items() if kind is Kind.YES])
    perhaps = [name for name, kind in kinds.items() if kind is Kind.PERHAPS]
    if len(sure) > 1:
        return Entry(fault=f"It is not clear which class is the handler: {', '.join(sure)}.")
    candidates = sure or leaves(module, perhaps)
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
