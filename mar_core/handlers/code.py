"""The Python code of one unpacked archive, kept apart from that of every other.

Each archive's modules live in a package of their own, ``mar_archives.NAME_N``: so two archives with
a ``model.py`` have two modules. The code itself still says ``import model``: its modules run with
an ``__import__`` that looks into their own archive first, as TorchServe's workers do, with one
difference: the standard library cannot be shadowed.
"""

from __future__ import annotations

import builtins
import importlib
import os
import re
import sys
import threading
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mar_core.errors import HandlerError
from mar_core.handlers import isolation
from mar_core.handlers.own_process import OwnProcess, UnpackedCode
from mar_core.ts import compat
from mar_core.weights import model_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from mar_core.ts.context import Context

__all__ = ["ArchiveCode", "code_of", "import_file"]

_folder_lock = threading.RLock()


class ArchiveCode(UnpackedCode):
    """The modules of one unpacked archive, in a package of their own.

    Args:
        model_dir: The folder that holds its members.
        name: The model's name, for the name of the package.

    Attributes:
        package: The package that its modules live in, such as ``mar_archives.mnist_1``.
        builtins: The builtins that its modules see.
    """

    def __init__(self, model_dir: Path, name: str = "model") -> None:
        self.builtins: dict[str, Any] = {**vars(builtins), "__import__": self._import}
        self._importlib = _Importlib(self)
        self._root = isolation.register(self, re.sub(r"\W", "_", name) or "model")
        super().__init__(model_dir)
        self.package = self._root.__name__
        self._seen_path: list[str] = []

    def settle(self, model_dir: Path) -> None:
        """See ``UnpackedCode.settle``."""
        super().settle(model_dir)
        self._root.__path__[:] = [str(self.model_dir)]

    def has(self, name: str) -> bool:
        """Whether ``import name`` in the archive's code finds a module of the archive.

        Args:
            name: A name, dotted or not; its first part decides.
        """
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names:
            return False
        if f"{self.package}.{top}" in sys.modules:
            return True
        spec = isolation.find(f"{self.package}.{top}", self._root.__path__)
        # A folder without __init__.py gives way to an installed package of its name.
        return spec is not None and (spec.loader is not None or not _installed(top))

    def import_module(self, name: str) -> ModuleType:
        """See ``UnpackedCode.import_module``."""
        with self.active():
            try:
                return importlib.import_module(f"{self.package}.{name}")
            except ModuleNotFoundError as error:
                raise self._as_said(error) from error.__cause__

    def add_folder(self, folder: Path) -> None:
        """See ``UnpackedCode.add_folder``."""
        if str(folder) not in self._root.__path__:
            self._root.__path__.insert(0, str(folder))

    def active(self) -> AbstractContextManager[None]:
        """Work on behalf of this archive: pickle and importlib find its modules too."""
        return isolation.AtWork(self)

    @contextmanager
    def in_folder(self) -> Iterator[None]:
        """Work with the archive's folder as the current one, as TorchServe's workers do.

        The current folder belongs to the process, so only one archive does so at a time.
        """
        with _folder_lock:
            before = Path.cwd()
            if self.model_dir.is_dir():  # else nothing has been unpacked, for nothing is needed
                os.chdir(self.model_dir)
            try:
                yield
            finally:
                os.chdir(before)

    def close(self) -> None:
        """Forget the archive's modules."""
        isolation.unregister(self.package)

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - the protocol's names
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """What ``import`` does in the archive's code."""
        if level == 0 and self.has(name):
            if isinstance(fromlist, list):  # the C API, as in pickle.loads: no statement does this
                isolation.stand_in(name)
            return self._import_own(name, fromlist)
        if level == 0 and _is_compat(name):
            return _import_compat(name, fromlist)
        module = builtins.__import__(name, globals, locals, fromlist or (), level)
        return self._importlib if module is importlib else module

    def _import_own(self, name: str, fromlist: Sequence[str] | None) -> ModuleType:
        full = f"{self.package}.{name}"
        try:
            module = builtins.__import__(full, None, None, fromlist or ("",), 0)
        except ModuleNotFoundError as error:
            raise self._as_said(error) from error.__cause__
        return module if fromlist else sys.modules[f"{self.package}.{name.partition('.')[0]}"]

    def _as_said(self, error: ModuleNotFoundError) -> ModuleNotFoundError:
        """The error with the name that the archive's code said."""
        own = f"{self.package}."
        if not (error.name or "").startswith(own):
            return error
        said = (error.name or "").removeprefix(own)
        return ModuleNotFoundError(f"No module named {said!r}", name=said)

    def adopt_paths(self) -> None:
        """Folders inside the archive that its code put on ``sys.path`` are for its code alone."""
        if sys.path == self._seen_path:  # every stage of every batch asks
            return
        for entry in [entry for entry in sys.path if entry.startswith(self._inside)]:
            if any(Path(entry).is_relative_to(place) for place in self._inside):
                sys.path.remove(entry)
                if entry not in self._root.__path__:
                    self._root.__path__.append(entry)
        self._seen_path = list(sys.path)


def code_of(model_dir: Path) -> ArchiveCode | OwnProcess:
    """The code of an unpacked archive: the one at work where it is that archive's, else a new one.

    Args:
        model_dir: The folder that holds its members.
    """
    own = OwnProcess.current
    if own is not None and own.model_dir.resolve() == model_dir.resolve():
        return own
    code = isolation.current()
    if isinstance(code, ArchiveCode) and code.model_dir.resolve() == model_dir.resolve():
        return code
    return ArchiveCode(model_dir, model_dir.name)


class _Importlib(ModuleType):
    """``importlib`` as the archive's code sees it: ``import_module`` asks the archive first."""

    def __init__(self, code: ArchiveCode) -> None:
        super().__init__("importlib", importlib.__doc__)
        self._code = code

    def import_module(self, name: str, package: str | None = None) -> ModuleType:
        """Import a module by name."""
        if not name.startswith(".") and self._code.has(name):
            return self._code.import_module(name)
        if _is_compat(name):
            return compat.load(name)
        return importlib.import_module(name, package)

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib, name)


def _is_compat(name: str) -> bool:
    return name.partition(".")[0] == compat.ROOT and compat.means_ours(name)


def _import_compat(name: str, fromlist: Sequence[str] | None) -> ModuleType:
    module = compat.load(name)
    for child in fromlist or ():
        if child != "*" and not hasattr(module, child) and hasattr(module, "__path__"):
            compat.load(f"{name}.{child}")
    return module if fromlist else compat.load(compat.ROOT)


def _installed(name: str) -> bool:
    """Whether a package of that name is there outside of archives."""
    module = sys.modules.get(name)
    if module is not None:
        return not isolation.is_facade(module)
    spec = PathFinder.find_spec(name)
    return spec is not None and spec.loader is not None


def import_file(context: Context, file: str) -> ModuleType:
    """Import a Python file of the archive, with the folder that it lies in before others.

    Call it in ``initialize``. The module has the file's name, and is the archive's own, whatever
    else is called so.

    Args:
        context: The context that the handler was given.
        file: The file's name in the archive, such as ``code/inference.py``.

    Returns:
        The module.

    Raises:
        HandlerError: The archive has no such file; or whatever the file raises.

    Example:
        >>> import_file(context, "code/inference.py").model_fn(model_dir)
    """
    path = PurePosixPath(file)
    model_dir = Path(str(context.system_properties["model_dir"]))
    if not (model_dir / path).is_file():
        raise HandlerError(f"The archive has no file {file!r}.", stage="initialize")
    code = code_of(model_dir)
    code.add_folder(model_dir / path.parent)
    with code.active():
        return code.import_module(path.stem)


model_file.provide(code_of)
