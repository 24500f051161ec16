"""The hooks: every place where a plugin can take part, in the order in which they are called.

A plugin is a module or an object whose functions carry ``@mar_core.hookimpl``, named by an entry
point in the group ``mar.plugins``. It may take fewer arguments than listed, none with a default.

Three ways of being called:

- *first result*: implementations are tried, the last registered first, until one returns something
  other than None. One marked ``wrapper=True`` surrounds the others.
- *each on its own*: every one runs, all results count; one that raises harms no other. No wrappers.
- *observing*: like each on its own, results ignored. One that raises is warned of once and counted.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mar_core.hookspecs import archive, life_cycle, offering
from mar_core.hookspecs.markers import PROJECT, hookimpl, hookspec

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EACH_HOOKS", "FAMILIES", "HOOKS", "PROJECT", "hookimpl", "hookspec"]

FAMILIES = (archive, life_cycle, offering)
_SPEC = f"{PROJECT}_spec"
# Every hook by its name, in the order in which they are called.
HOOKS: MappingProxyType[str, Callable[..., Any]] = MappingProxyType(
    {
        name: value
        for family in FAMILIES
        for name, value in vars(family).items()
        if hasattr(value, _SPEC)
    }
)
# Called one implementation at a time, so that one plugin cannot hurt another.
EACH_HOOKS = frozenset(
    name for name, hook in HOOKS.items() if not getattr(hook, _SPEC)["firstresult"]
)
