"""Finds an installed module and who ships it, without importing anything of it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec

import importlib_metadata

from mar_core.plugins import HANDLER_GROUP, find_entries

__all__ = ["Owner", "find_module"]


@dataclass(frozen=True, slots=True)
class Owner:
    """The distribution that ships a module; both are None where the metadata does not say."""

    distribution: str | None = None
    version: str | None = None


def find_module(name: str) -> Owner | None:
    """Who ships the module of that dotted name, or None when it is not installed.

    Only the top-level name goes through the import system's finders, which runs no code of the
    package; the rest is looked up on its search path.
    """
    top, *rest = name.split(".")
    spec = _top_level(top)
    path = ""
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        path = f"{path or top}.{part}"
        spec = PathFinder.find_spec(path, list(spec.submodule_search_locations))
    return None if spec is None else _owner(top)


def _top_level(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except ValueError:  # a module in sys.modules without a spec, such as __main__
        return None


def _owner(top: str) -> Owner:
    names = importlib_metadata.packages_distributions().get(top)
    if names:
        return Owner(names[0], importlib_metadata.version(names[0]))
    # An editable install lists no files; its handlers still say whose they are.
    for entry in find_entries(HANDLER_GROUP):
        if entry.module.partition(".")[0] == top:
            return Owner(entry.distribution, entry.version)
    return Owner()
