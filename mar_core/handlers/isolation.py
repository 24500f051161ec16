"""The import system's side of keeping archives apart: finders, loaders, and stand-in modules.

The archives' own modules are found under ``mar_archives``. Others that import by name on behalf of
an archive, as pickle does with ``model.Net``, find a stand-in under the plain name; it forwards to
the module of whichever archive is at work, and goes when none is.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import threading
from contextvars import ContextVar
from importlib.abc import Loader
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
    SourcelessFileLoader,
)
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import FrameType

__all__ = ["ROOT", "AtWork", "current", "find", "is_facade", "register", "stand_in", "unregister"]

ROOT = "mar_archives"


class IsolatedCode(Protocol):
    """One archive's code, as the import system needs it."""

    builtins: dict[str, Any]
    files: dict[str, str]

    def has(self, name: str) -> bool:
        """Whether the archive has a module for ``import name``."""

    def import_module(self, name: str) -> ModuleType:
        """Import that module."""

    def adopt_paths(self) -> None:
        """Take what the archive's code put on ``sys.path``."""


_active: ContextVar[IsolatedCode | None] = ContextVar("_active", default=None)
_known: dict[str, IsolatedCode] = {}
_lock = threading.RLock()
_working = 0
# The plain names that are stood in for, and what had them before.
_facades: dict[str, ModuleType | None] = {}


def register(code: IsolatedCode, name: str) -> ModuleType:
    """Give an archive's code a package of its own.

    Args:
        code: The code.
        name: What the package's name begins with.

    Returns:
        The package, with an empty ``__path__``.
    """
    with _lock:
        _install()
        number = 1
        while f"{ROOT}.{name}_{number}" in _known:
            number += 1
        package = _package(f"{ROOT}.{name}_{number}")
        _known[package.__name__] = code
        return package


def unregister(package: str) -> None:
    """Forget a package and its modules."""
    with _lock:
        _known.pop(package, None)
        for name in [n for n in sys.modules if f"{n}.".startswith(f"{package}.")]:
            del sys.modules[name]


class AtWork:
    """Imports by plain name on behalf of an archive, for as long as the ``with`` statement lasts.

    Not a generator: every stage of every batch goes through one.

    Args:
        code: The archive's code.
    """

    __slots__ = ("_code", "_token")

    def __init__(self, code: IsolatedCode) -> None:
        self._code = code

    def __enter__(self) -> None:
        global _working  # noqa: PLW0603 - one import system, one count
        self._token = _active.set(self._code)
        with _lock:
            _working += 1

    def __exit__(self, *error: object) -> None:
        global _working  # noqa: PLW0603
        _active.reset(self._token)
        with _lock:
            _working -= 1
            if _working == 0 and _facades:
                _remove_facades()
        self._code.adopt_paths()


def current() -> IsolatedCode | None:
    """The archive on whose behalf this code runs: the context's, or else a caller's own."""
    code = _active.get()
    if code is not None or not _known:
        return code
    # A thread that a handler starts has no context.
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None:
        package = ".".join(str(frame.f_globals.get("__name__")).split(".")[:2])
        if package in _known:
            return _known[package]
        frame = frame.f_back
    return None


def stand_in(name: str) -> None:
    """Put a stand-in under a plain name, for a caller that looks into ``sys.modules`` itself."""
    with _lock:
        before = sys.modules.get(name)
        if not is_facade(before):
            _facades[name] = before
            sys.modules[name] = _Facade(name)


def find(fullname: str, path: Iterable[str]) -> ModuleSpec | None:
    """Look for one module in folders, regular modules before folders without ``__init__.py``.

    Args:
        fullname: The full name; its last part is looked for.
        path: The folders.
    """
    portions: list[str] = []
    for entry in path:
        spec = _folder(entry).find_spec(fullname)
        if spec is not None and spec.loader is not None:
            return spec
        if spec is not None:
            portions += spec.submodule_search_locations or []
    if not portions:
        return None
    spec = ModuleSpec(fullname, None, is_package=True)
    spec.submodule_search_locations = portions
    return spec


def is_facade(module: object) -> bool:
    """Whether a module only stands in for an archive's."""
    return type(module) is _Facade


class _Isolated:
    """Runs a module with its archive's builtins."""

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = _owner(module.__name__).builtins
        super().exec_module(module)  # type: ignore[misc]


class _SourceLoader(_Isolated, SourceFileLoader):  # type: ignore[misc]
    """Loads source, never cached bytecode, under the name of the real file.

    ``__file__`` is the place in the archive, so that a module finds the files beside it; tracebacks
    and breakpoints are at the real file, which is the user's own when sources are run in place.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        real = os.path.realpath(path)
        _owner(fullname).files[real] = path
        return self.source_to_code(self.get_data(path), real)


class _SourcelessLoader(_Isolated, SourcelessFileLoader):
    """Loads bytecode that came without its source."""


def _owner(fullname: str) -> IsolatedCode:
    return _known[".".join(fullname.split(".")[:2])]


@functools.lru_cache(maxsize=256)
def _folder(path: str) -> FileFinder:
    return FileFinder(
        path,
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (_SourceLoader, SOURCE_SUFFIXES),
        (_SourcelessLoader, BYTECODE_SUFFIXES),
    )


class _Finder:
    """Finds the archives' modules by full names and, while an archive works, by plain ones."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,  # noqa: ARG002 - the protocol's signature
    ) -> ModuleSpec | None:
        top, _, rest = fullname.partition(".")
        if top == ROOT:
            return find(fullname, path or ()) if "." in rest else None
        if rest and not is_facade(sys.modules.get(top)):
            return None
        code = current()
        if code is None or not code.has(fullname):
            return None
        return importlib.util.spec_from_loader(fullname, _FacadeLoader())

    def invalidate_caches(self) -> None:
        _folder.cache_clear()


class _FacadeLoader(Loader):
    """Makes stand-ins."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        code = current()
        if code is not None:
            code.import_module(spec.name)  # what is not there must not be stood in for
        with _lock:
            _facades[spec.name] = None
        return _Facade(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _Facade(ModuleType):
    """Stands under a plain name for the module of whichever archive is at work."""

    def __getattribute__(self, name: str) -> Any:
        return getattr(_behind(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "__spec__":  # the import system labels what it has loaded
            setattr(_behind(self), name, value)

    def __dir__(self) -> list[str]:
        return dir(_behind(self))


def _behind(facade: _Facade) -> ModuleType:
    """The module that a stand-in stands for; without an archive at work, the one outside of all."""
    name = ModuleType.__getattribute__(facade, "__dict__")["__name__"]
    code = current()
    if code is not None and code.has(name):
        return code.import_module(name)
    before = _facades.get(name)
    if before is not None:
        return before
    if sys.modules.get(name) is facade:
        del sys.modules[name]
    return importlib.import_module(name)


def _remove_facades() -> None:
    for name, before in _facades.items():
        if before is not None:
            sys.modules[name] = before
        elif is_facade(sys.modules.get(name)):
            del sys.modules[name]
    _facades.clear()


def _install() -> None:
    """Put the finder in its place, before the one that looks on ``sys.path``."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        _package(ROOT)
        sys.meta_path.insert(0, _Finder())


def _package(name: str) -> ModuleType:
    package = ModuleType(name)
    package.__path__ = []
    package.__spec__ = ModuleSpec(name, None, is_package=True)
    sys.modules[name] = package
    return package
