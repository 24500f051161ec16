"""Reads the tensors of a weights file, mapped from the disk where the format allows it."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from mar_core.errors import ModelError
from mar_core.text import first_line
from mar_core.weights.in_place import read_in_place
from mar_core.weights.model_code import code_of
from mar_core.weights.registry import identify

if TYPE_CHECKING:
    import torch

    from mar_core.weights.source import ModelSource

__all__ = ["read_weights", "weights_of"]

# The names under which training scripts put the weights among other things.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "weights")


def weights_of(
    source: ModelSource, device: torch.device
) -> dict[str, torch.Tensor] | torch.nn.Module:
    """Read the weights of an archive, where they lie if that can be.

    Args:
        source: What is being loaded.
        device: Where the tensors go.

    Raises:
        ModelError: See ``read_weights``.
    """
    if source.in_place:
        content = read_in_place(source, device)
        if content is not None:
            return _tensors_of(content, Path(source.name))
    path = cast("Path", source.path)
    return read_weights(path, device=device, trusted=source.trusted, source=source)


def read_weights(
    path: Path,
    *,
    device: torch.device,
    trusted: bool = False,
    source: ModelSource | None = None,
) -> dict[str, torch.Tensor] | torch.nn.Module:
    """Read a weights file; unpickle anything where the user trusts it and only that will do.

    Args:
        path: The file.
        device: Where its tensors go.
        trusted: Whether the user has said that what is in the file may run code.
        source: What is being loaded: the archive whose modules a pickle may name; its model file is
            where a class is looked for that a script pickled as its own, ``__main__``.

    Returns:
        The tensors by name, or the whole module that was pickled.

    Raises:
        ModelError: The file is damaged, or holds what is not safe to load.
    """
    with path.open("rb") as stream:
        kind = identify(stream).name
    if kind == "safetensors":
        return _read_safetensors(path, device)
    try:
        content = _read_torch(path, device, mapped=kind == "torch")
    except pickle.UnpicklingError as error:
        if not trusted:
            raise _unsafe(path, error) from error
        folder = path.parent if source is None else source.model_dir
        content = _unpickle(path, device, folder, source.model_file if source else None)
    return _tensors_of(content, path)


def _unpickle(path: Path, device: torch.device, model_dir: Path, model_file: str | None) -> Any:
    """Unpickle a file that the user trusts; this can run any code."""
    import torch

    code = code_of(model_dir)

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str, /) -> Any:
            if module == "__main__" and model_file:
                return getattr(code.import_file(model_file), name)
            return super().find_class(module, name)

    pickles = SimpleNamespace(Unpickler=Unpickler, load=pickle.load, __name__="pickle")
    try:
        with code.active():
            return torch.load(
                str(path), map_location=device, weights_only=False, pickle_module=pickles
            )
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"{path.name} was pickled with a class that is not here: {error}.",
            hint="Add the file that defines it, under the name that it had, with --extra-files; or "
            "with --model-file, if a script pickled a class of its own.",
        ) from error


def _read_safetensors(path: Path, device: torch.device) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device=str(device))
    except (SafetensorError, OSError, TypeError) as error:  # TypeError: a size past all numbers
        raise _damaged(path, error) from error


def _read_torch(path: Path, device: torch.device, *, mapped: bool) -> Any:
    import torch

    # The environment cannot weaken this: TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD is for calls that
    # leave weights_only open.
    try:
        return torch.load(str(path), map_location=device, mmap=mapped, weights_only=True)
    except (RuntimeError, ValueError, EOFError, OSError, KeyError) as error:
        raise _damaged(path, error) from error


def _tensors_of(content: Any, path: Path) -> dict[str, torch.Tensor] | torch.nn.Module:
    import torch

    if isinstance(content, torch.nn.Module):
        return content
    candidates = [content]
    if isinstance(content, Mapping):
        candidates += [content[name] for name in _WRAPPERS if name in content]
    for candidate in candidates:
        if isinstance(candidate, torch.nn.Module):
            return candidate
        if _is_state(candidate):
            return dict(candidate)
    raise ModelError(
        f"{path.name} holds {_describe(content)}, not a state dict.",
        hint="Save it with `torch.save(model.state_dict(), …)`.",
    )


def _is_state(content: Any) -> bool:
    """A state dict maps names to tensors; modules may add a little extra state of their own."""
    import torch

    return (
        isinstance(content, Mapping)
        and all(isinstance(name, str) for name in content)
        and all(
            isinstance(value, torch.Tensor) or name.endswith("_extra_state")
            for name, value in content.items()
        )
    )


def _describe(content: Any) -> str:
    if isinstance(content, Mapping):
        keys = ", ".join(repr(key) for key in list(content)[:5])
        return f"a dict of {keys}" if keys else "an empty dict"
    return f"an object of {type(content).__name__}"


def _unsafe(path: Path, error: Exception) -> ModelError:
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    what = f" ({named[1]})" if named else ""
    return ModelError(
        f"{path.name} holds more than tensors{what}, and loading it could run any code.",
        hint="Save the state dict with `torch.save(model.state_dict(), …)`, or pass "
        "--trust (or --allow-pickle) if you trust whoever made the file.",
    )


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{path.name} cannot be read: {first_line(error)}.", hint="Save or download it again."
    )
