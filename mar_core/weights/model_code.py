"""The Python of an unpacked archive, as far as loading its model needs it.

Who keeps the modules of archives apart says how they are imported (``provide``); without anybody,
they are imported as in TorchServe's workers, from the folder, by their plain names.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import ModuleType

__all__ = ["ModelCode", "model_code_of", "provide"]


class ModelCode(Protocol):
    """The modules of one unpacked archive."""

    def active(self) -> AbstractContextManager[None]:
        """Work on behalf of the archive: what is unpickled finds its modules."""

    def import_file(self, file: str) -> ModuleType:
        """Import a file of the archive, such as ``model.py``."""


class _FolderCode:
    """The modules of a folder, by their plain names."""

    def __init__(self, model_dir: Path) -> None:
        self._folder = str(model_dir)

    @contextmanager
    def active(self) -> Iterator[None]:
        if self._folder in sys.path:
            yield
            return
        sys.path.insert(0, self._folder)
        before = set(sys.modules)
        try:
            importlib.invalidate_caches()
            yield
        finally:
            sys.path.remove(self._folder)
            for name in set(sys.modules) - before:  # another archive may have one of that name
                file = getattr(sys.modules[name], "__file__", None)
                if file and Path(file).is_relative_to(self._folder):
                    del sys.modules[name]

    def import_file(self, file: str) -> ModuleType:
        with self.active():
            return importlib.import_module(file.removesuffix(".py").replace("/", "."))


_provided: list[Callable[[Path], ModelCode]] = [_FolderCode]


def provide(factory: Callable[[Path], ModelCode]) -> None:
    """Say how the modules of an unpacked archive are imported.

    Args:
        factory: Takes the archive's folder.
    """
    _provided[:] = [factory]


def model_code_of(model_dir: Path) -> ModelCode:
    """The modules of an unpacked archive."""
    return _provided[0](model_dir)
