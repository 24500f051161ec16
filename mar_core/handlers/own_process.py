"""The Python code of an archive in a process of its own: the world that TorchServe gives it.

The archive's folder is the current one, the first on ``sys.path``, and in ``PYTHONPATH`` for what
the handler starts; its modules have their own names. Nothing is kept apart, for nothing else is
there.
"""

from __future__ import annotations

import abc
import importlib.util
import multiprocessing.process
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.ts import compat

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType

__all__ = ["OwnProcess", "UnpackedCode"]

_AS_IT_IS: AbstractContextManager[None] = nullcontext()


class UnpackedCode(abc.ABC):
    """The modules of one unpacked archive, however they are imported.

    Args:
        model_dir: The folder that holds its members.

    Attributes:
        model_dir: The folder, absolute.
        files: Where in the folder a module is, by the real file that it was compiled from.
    """

    def __init__(self, model_dir: Path) -> None:
        self.files: dict[str, str] = {}
        self.settle(model_dir)

    def settle(self, model_dir: Path) -> None:
        """Take another folder: the archive's files were not unpacked before.

        Args:
            model_dir: The folder that holds them now.
        """
        self.model_dir = Path(os.path.abspath(model_dir))  # noqa: PTH100 - links stay as they are
        self._inside = tuple({str(self.model_dir), os.path.realpath(self.model_dir)})

    def __contains__(self, member: object) -> bool:
        """Whether the archive has a file of that name."""
        return (self.model_dir / str(member)).is_file()

    def find_file(self, name: str) -> Path | None:
        """The file that defines a module of the archive, whatever else has its name.

        Args:
            name: The module's name, such as ``model`` or ``pkg.model``.
        """
        path = self.model_dir.joinpath(*name.split("."))
        files = [path.with_name(f"{path.name}{suffix}") for suffix in (".py", ".pyc")]
        candidates = (*files, path / "__init__.py")
        return next((candidate for candidate in candidates if candidate.is_file()), None)

    @abc.abstractmethod
    def import_module(self, name: str) -> ModuleType:
        """Import a module of the archive, whatever else has its name.

        Args:
            name: The name as the archive's code would say it, such as ``model`` or ``pkg.model``.

        Raises:
            ModuleNotFoundError: The archive has no such module; or whatever the module raises.
        """

    @abc.abstractmethod
    def add_folder(self, folder: Path) -> None:
        """Look for modules in a folder of the archive before all others.

        Args:
            folder: The folder, in ``model_dir`` or that itself.
        """

    def import_file(self, file: str) -> ModuleType:
        """Import a file of the archive, such as ``model.py``.

        Raises:
            ModuleNotFoundError: There is no such file; or whatever the file raises.
        """
        return self.import_module(file.removesuffix(".py").replace("/", "."))

    def file_name(self, path: str) -> str | None:
        """The name in the archive of a file that a traceback names; None for others' files."""
        place = Path(self.files.get(path, path))
        inside = place.is_relative_to(self.model_dir)
        return place.relative_to(self.model_dir).as_posix() if inside else None


class OwnProcess(UnpackedCode):
    """The modules of the one archive that this process runs. Made once, before any of its code.

    Args:
        model_dir: The folder that holds its members.

    Attributes:
        package: What ``ArchiveCode`` puts before the names of its modules, and this does not.
        current: The one of this process, or None.
    """

    package = "mar_archives"
    current: OwnProcess | None = None

    def enter(self) -> None:
        """Make this process the archive's; its folder counts from when it is there."""
        sys.path_hooks.insert(0, self._finder)
        sys.meta_path.insert(0, _Names(self))
        names = str(compat.PATH)
        sys.path.append(names)
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (before, names)))
        OwnProcess.current = self
        if self.model_dir.is_dir():
            self.settle(self.model_dir)

    def settle(self, model_dir: Path) -> None:
        """See ``UnpackedCode.settle``."""
        super().settle(model_dir)
        if OwnProcess.current is not self:  # it has not entered yet
            return
        folder = str(self.model_dir)
        os.chdir(folder)
        # Where processes that the handler spawns begin; it was read when mar was imported.
        multiprocessing.process.ORIGINAL_DIR = folder  # type: ignore[attr-defined]
        sys.path_importer_cache.clear()
        sys.path.insert(0, folder)
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, before)))

    def add_folder(self, folder: Path) -> None:
        """See ``UnpackedCode.add_folder``; what the handler starts looks there, too."""
        place = str(folder)
        if place not in sys.path:
            sys.path.insert(0, place)
            os.environ["PYTHONPATH"] = os.pathsep.join((place, os.environ["PYTHONPATH"]))

    def has(self, name: str) -> bool:
        """Whether the archive has a module of that name; its first part decides."""
        top = self.model_dir / name.partition(".")[0]
        return top.is_dir() or self.find_file(top.name) is not None

    def import_module(self, name: str) -> ModuleType:
        """Import a module of the archive; another of its name gives way.

        Raises:
            ModuleNotFoundError: The archive has no such module; or whatever the module raises.
        """
        module = sys.modules.get(name)
        if module is not None and self.file_name(getattr(module, "__file__", None) or "") is None:
            if name in sys.stdlib_module_names:
                return self._beside(name)
            del sys.modules[name]
        return importlib.import_module(name)

    def _beside(self, name: str) -> ModuleType:
        """A module that has the name of one of Python's own, which others go on to use."""
        spec = self._finder(str(self.model_dir)).find_spec(name)
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def active(self) -> AbstractContextManager[None]:
        """Work on behalf of the archive: nothing to do."""
        return _AS_IT_IS

    def in_folder(self) -> AbstractContextManager[None]:
        """Work with the archive's folder as the current one: it is."""
        return _AS_IT_IS

    def close(self) -> None:
        """Forget the archive's modules: the process ends."""

    def _finder(self, path: str) -> FileFinder:
        """For ``sys.path_hooks``: what finds modules in the archive's folder."""
        real = os.path.realpath(path)
        if not any(f"{real}{os.sep}".startswith(f"{place}{os.sep}") for place in self._inside):
            raise ImportError(path=path)
        if not os.path.isdir(real):  # noqa: PTH112 - a text, and the answer is all
            raise ImportError("only folders are searched", path=path)
        loader = type("_Source", (_SourceLoader,), {"files": self.files})
        return FileFinder(
            path,
            (ExtensionFileLoader, EXTENSION_SUFFIXES),
            (loader, SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        )


class _SourceLoader(SourceFileLoader):
    """Loads source, never cached bytecode: what was validated is what runs.

    Tracebacks and breakpoints are at the real file, which is the user's own when sources are run in
    place.
    """

    files: dict[str, str]

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        real = os.path.realpath(path)
        self.files[real] = path
        return self.source_to_code(self.get_data(path), real)


class _Names:
    """Finds ``ts.*``: the archive's own, else ours, where no installed package has more."""

    def __init__(self, code: OwnProcess) -> None:
        self._code = code

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the protocol's signature
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != compat.ROOT or self._code.has(compat.ROOT):
            return None
        return compat.find_spec(fullname) if compat.means_ours(fullname) else None
