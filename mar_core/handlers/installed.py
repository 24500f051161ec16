"""Finds an installed module and who ships it, without importing anything of it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import importlib_metadata

from mar_core.plugins import HANDLER_GROUP, find_entries

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Owner", "find_module", "is_installed", "package_of", "source_of"]


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
    return None if _find(name) is None else _owner(name.partition(".")[0])


def is_installed(name: str) -> bool:
    """Whether there is a module of that dotted name; unlike ``find_module`` it asks no metadata."""
    return _find(name) is not None


def package_of(name: str) -> str | None:
    """The innermost installed package that a module would be in.

    Args:
        name: The module's dotted name.

    Returns:
        The package's name; None where there is only a folder that distributions share, such as
        ``google`` and ``nvidia``: what is there does not lack what another would bring.
    """
    parts = name.split(".")[:-1]
    names = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((one for one in names if (spec := _find(one)) and spec.origin is not None), None)


def source_of(name: str) -> bytes | None:
    """The source of an installed module; None where it is not installed or is no Python file."""
    spec = _find(name)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    try:
        return Path(spec.origin).read_bytes()
    except OSError:
        return None


def _find(name: str) -> ModuleSpec | None:
    top, *rest = name.split(".")
    spec = _top_level(top)
    path = top
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        path, places = f"{path}.{part}", list(spec.submodule_search_locations)
        try:
            spec = PathFinder.find_spec(path, places)
        except KeyError:  # a folder that distributions share, in one whose package is not imported
            spec = ModuleSpec(path, None, is_package=True)
            spec.submodule_search_locations = [str(Path(place, part)) for place in places]
    return spec


def _top_level(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except ValueError:  # a module in sys.modules without a spec, such as __main__
        return None


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    """For each top-level module who ships it: a look at everything that is installed."""
    return importlib_metadata.packages_distributions()


def _owner(top: str) -> Owner:
    names = _distributions().get(top)
    if names:
        return Owner(names[0], importlib_metadata.version(names[0]))
    # An editable install lists no files; its handlers still say whose they are.
    for entry in find_entries(HANDLER_GROUP):
        if entry.module.partition(".")[0] == top:
            return Owner(entry.distribution, entry.version)
    return Owner()
