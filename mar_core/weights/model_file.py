"""The Python of an unpacked archive, as far as loading its model needs it: the model file first.

Who keeps the modules of archives apart says how they are imported (``provide``); without anybody,
they are imported as in TorchServe's workers, from the folder, by their plain names.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mar_core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import ModuleType

    import torch

__all__ = [
    "ModelCode", "class_to_write", "import_model_file", "load_network", "model_code_of",
    "provide",
]  # fmt: skip


def class_to_write(name: str | None, *, is_class: bool = False) -> str:
    """What to write into a model file that defines no class, but has what makes a network.

    TorchServe makes the one class that a model file defines itself, so that is what there must be.

    Args:
        name: The class or function that makes the network; None where that is not clear.
        is_class: Whether it is a class.
    """
    if name and is_class:
        return f"Write a class of its own below the import: `class Network({name}): pass`."
    return (
        "Write a class into it, after `import torch`: `class Network(torch.nn.Module):`, and in it "
        f"`def __new__(cls): return {name or 'what_makes_it'}()`."
    )


def load_network(model_dir: str, model_file: str) -> torch.nn.Module:
    """Make the network that a model file defines.

    Args:
        model_dir: The unpacked archive.
        model_file: The member that holds one ``torch.nn.Module`` class, made without arguments.

    Returns:
        The network, as its class makes it.

    Raises:
        ModelError: The file is missing, does not hold exactly one network, or its class needs
            arguments.
    """
    model_class = _model_class(import_model_file(Path(model_dir), model_file), model_file)
    required = _required_arguments(model_class)
    if required:
        raise ModelError(
            f"{model_class.__name__} of {model_file} cannot be made without {required}.",
            hint="Give its arguments defaults: it is made with none.",
        )
    model: torch.nn.Module = model_class()
    return model


def import_model_file(model_dir: Path, model_file: str) -> ModuleType:
    """Import the model file of an archive, apart from those of other archives.

    Raises:
        ModelError: It is not there.
    """
    if not (model_dir / model_file).is_file():
        raise ModelError(
            f"The model file {model_file!r} is not in the archive.",
            hint="Archive it again with --model-file.",
        )
    return model_code_of(model_dir).import_file(model_file)


def _model_class(module: ModuleType, model_file: str) -> type:
    """The one class of a model file; helpers that are no module do not count."""
    import torch

    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__
    ]
    found = [value for value in classes if issubclass(value, torch.nn.Module)] or classes
    if len(found) != 1:
        names = ", ".join(value.__name__ for value in found) or "none"
        others = "Move the other classes to a file of their own and add it with --extra-files."
        raise ModelError(
            f"The model file {model_file} must hold exactly one torch.nn.Module class; it has "
            f"{names}.",
            hint=others if found else _what_to_write(module),
        )
    return found[0]


def _what_to_write(module: ModuleType) -> str:
    """The class that is missing, around the one thing of the module that may make a network."""
    makers = {
        name: value
        for name, value in vars(module).items()
        if callable(value)
        and not name.startswith("__")
        and str(value.__module__).partition(".")[0] not in sys.stdlib_module_names
    }
    if len(makers) != 1:
        return class_to_write(None)
    ((name, value),) = makers.items()
    return class_to_write(name, is_class=inspect.isclass(value))


def _required_arguments(model_class: type) -> str:
    try:
        parameters = inspect.signature(model_class).parameters.values()
    except ValueError:  # made in C: let it say so itself
        return ""
    return ", ".join(
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    )


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
