"""Which handler a manifest names: the one look-up, for checks, runs, dry runs and doctor.

Nothing is imported. As in TorchServe, a file of the archive comes before a registered handler of
the same name, and that before a module of an installed package.
"""

from __future__ import annotations

import enum
import functools
import re
import sys
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import importlib_metadata

from mar_core.errors import HandlerError, PluginError
from mar_core.handlers.source import Module, parse_module
from mar_core.plugins import HANDLER_GROUP, find_entries, find_handler, nearest_handlers
from mar_core.text import suggestion
from mar_core.ts import compat

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from mar_core.format.manifest import Manifest
    from mar_core.plugins import EntryInfo

__all__ = [
    "Absence", "FoundHandler", "Owner", "Reason", "find_module", "is_installed", "look_up",
    "missing_entry", "package_of", "source_of", "split_handler", "why_absent",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundHandler:
    """Where the handler is that a run would use.

    Attributes:
        name: The handler as the manifest names it.
        module: The module that holds it.
        entry: What to take from the module, or None to decide by what it defines.
        member: The member of the archive that holds it, or None.
        registered: The entry point of a registered handler, or None.
        distribution: The distribution that ships it, or None.
        version: That distribution's version, or None.
    """

    name: str
    module: str
    entry: str | None = None
    member: str | None = None
    registered: EntryInfo | None = None
    distribution: str | None = None
    version: str | None = None

    @property
    def target(self) -> str | None:
        """``module:Class`` of a registered handler, or None."""
        return self.registered.target if self.registered else None

    @property
    def origin(self) -> str:
        """Where it is, in words."""
        if self.member is not None:
            return "a file of the archive"
        return f"{self.distribution} {self.version}" if self.distribution else "installed"


def split_handler(name: str) -> tuple[str, str | None]:
    """The file or module that a handler's name begins with, and the entry behind the colon."""
    head, _, entry = name.partition(":")
    return head, entry or None


def look_up(name: str, members: Container[str] = ()) -> FoundHandler | None:
    """Find a handler.

    Args:
        name: The handler as a manifest names it: ``h``, ``h.py``, either with ``:entry``, a
            registered name, or ``package.module:Class``.
        members: The names of the archive's members.

    Returns:
        Where it is, or None where there is none.

    Raises:
        PluginError: Two distributions register it.
    """
    head, entry = split_handler(name)
    path = head.removesuffix(".py").strip("/").split("/")
    for module in (path[-1], ".".join(path)):
        member = module_member(module, members)
        if member is not None:
            return FoundHandler(name=name, module=module, entry=entry, member=member)
    if head.endswith(".py"):
        return None
    registered = None if entry else find_handler(head)
    if registered is not None:
        return FoundHandler(
            name=name,
            module=registered.module,
            registered=registered,
            distribution=registered.distribution,
            version=registered.version,
        )
    return _installed(name, path[-1], entry)


def module_member(module: str, members: Container[str]) -> str | None:
    """The member that a module of the archive is, or None.

    Args:
        module: The module's name.
        members: The names of the archive's members.
    """
    stem = module.replace(".", "/")
    files = (f"{stem}.py", f"{stem}/__init__.py", f"{stem}.pyc")
    return next((file for file in files if file in members), None)


def _installed(name: str, module: str, entry: str | None) -> FoundHandler | None:
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts) or parts[0] in sys.stdlib_module_names:
        return None
    owner = find_module(module)
    if owner is None:
        return None
    return FoundHandler(
        name=name,
        module=module,
        entry=entry,
        distribution=owner.distribution,
        version=owner.version,
    )


class Reason(enum.Enum):
    """Why a handler is not there."""

    UNNAMED = enum.auto()
    SHIPPED = enum.auto()
    TORCHSERVE = enum.auto()
    STANDARD_LIBRARY = enum.auto()
    FILE = enum.auto()
    DOTS = enum.auto()
    CLASH = enum.auto()
    ENTRY = enum.auto()
    UNKNOWN = enum.auto()


@dataclass(frozen=True, slots=True)
class Absence:
    """Why a handler is not there, and what to do.

    Attributes:
        reason: The kind of reason.
        message: One sentence.
        hint: What to do, or None.
    """

    reason: Reason
    message: str
    hint: str | None = None

    def error(self, name: str | None) -> HandlerError:
        """The same as an error."""
        return HandlerError(self.message, stage="load", handler=name, hint=self.hint)


def why_absent(manifest: Manifest, members: Container[str] = ()) -> Absence:
    """Say the most helpful thing about a handler that ``look_up`` does not find.

    Args:
        manifest: The manifest, which may say which distribution ships it.
        members: The names of the archive's members.
    """
    name = manifest.handler
    if name is None:
        message = "The manifest names no handler."
        return Absence(Reason.UNNAMED, message, "Archive it again with --handler.")
    head, _ = split_handler(name)
    file = head if head.endswith(".py") else f"{head}.py"
    if file in members:  # and was not found: its stem is no module's name
        message = f"Python cannot import {file!r}: the dot in its name would mean a folder."
        rename = f"{file.removesuffix('.py').replace('.', '_')}.py"
        return Absence(Reason.DOTS, message, f"Rename the file, to {rename} for instance.")
    return _of_distribution(name, manifest) or _of_torchserve(head) or _of_name(name, head)


def missing_entry(found: FoundHandler) -> Absence | None:
    """What an installed handler names in vain, as far as its source shows; nothing is imported.

    Args:
        found: The handler.
    """
    module, _, target = (found.target or "").partition(":")
    module, entry = (module.strip(), target) if module else (found.module, found.entry)
    if found.member is not None:
        return None
    by = f", which {found.registered} names" if found.registered else ""
    if not is_installed(module):
        message = f"There is no module {module!r}{by}."
        return Absence(Reason.ENTRY, message, _mend(found))
    name = (entry or "").strip().partition(".")[0]
    parsed = parse_module(source_of(module) or b"") if name else None
    if not isinstance(parsed, Module) or not parsed.names or not parsed.is_closed:
        return None
    if name in parsed.names:
        return None
    hint = ("" if by else suggestion(name, parsed.names)) or _mend(found)
    return Absence(Reason.ENTRY, f"The module {module} has no {name!r}{by}.", hint)


def _mend(found: FoundHandler) -> str:
    if found.registered is None:
        return "Check --handler."
    return f"Its entry point is wrong: upgrade {found.distribution}, or tell its author."


def _of_distribution(name: str, manifest: Manifest) -> Absence | None:
    shipped = manifest.mar.get("handler")
    distribution = shipped.get("distribution") if isinstance(shipped, dict) else None
    if not isinstance(shipped, dict) or not isinstance(distribution, str) or not distribution:
        return None
    version = shipped.get("version")
    wanted = f"{distribution}=={version}" if version else distribution
    # The manifest may come from anybody, and what follows is typed into a shell.
    plain = re.fullmatch(r"[A-Za-z0-9._-]+(==[A-Za-z0-9._+!-]+)?", wanted)
    return Absence(
        Reason.SHIPPED,
        f"The handler {name!r} comes with {distribution}, which is not installed.",
        f"Install it: `pip install {wanted}`." if plain else None,
    )


def _of_torchserve(head: str) -> Absence | None:
    module = f"{compat.ROOT}.torch_handler.{head}"
    if not compat.is_absent(module):
        return None
    return Absence(Reason.TORCHSERVE, str(compat.missing(module)))


def _of_name(name: str, head: str) -> Absence:
    if head.endswith(".py") or "/" in head:
        message = f"The archive has no file {head!r}, which its manifest names as the handler."
        return Absence(Reason.FILE, message, "Archive it again with --handler.")
    if head.partition(".")[0] in sys.stdlib_module_names:
        message = f"The handler {name!r} is in Python's standard library."
        hint = "Name a handler, or put its file into the archive."
        return Absence(Reason.STANDARD_LIBRARY, message, hint)
    try:
        find_handler(head)
    except PluginError as error:
        return Absence(Reason.CLASH, error.message, error.hint)
    near = nearest_handlers(head)
    known = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return Absence(
        Reason.UNKNOWN,
        f"There is no handler {name!r}: no file {head}.py in the archive, no registered handler "
        "and no installed module of that name.",
        f"See the registered handlers with `mar plugins`.{known}",
    )


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
