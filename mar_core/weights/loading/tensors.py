"""Reads the tensors of a weights file, mapped from the disk where the format allows it."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError
from mar_core.weights import WeightsKind
from mar_core.weights.loading.pickled import load_pickled
from mar_core.weights.loading.source import current_source

if TYPE_CHECKING:
    from pathlib import Path

    import torch

__all__ = ["read_weights"]

# The names under which training scripts put the weights among other things.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "weights")


def read_weights(
    path: Path, kind: WeightsKind, *, device: torch.device
) -> dict[str, torch.Tensor] | torch.nn.Module:
    """Read a weights file; unpickle anything where the user trusts it and only that will do.

    Args:
        path: The file.
        kind: What it is.
        device: Where its tensors go.

    Returns:
        The tensors by name, or the whole module that was pickled.

    Raises:
        ModelError: The file is damaged, or holds what is not safe to load.
    """
    if kind is WeightsKind.SAFETENSORS:
        return _read_safetensors(path, device)
    try:
        content = _read_torch(path, kind, device)
    except pickle.UnpicklingError as error:
        source = current_source.get()
        if source is None or not source.allow_pickle:
            raise _unsafe(path, error) from error
        content = load_pickled(path, source)
    return _tensors_of(content, path)


def _read_safetensors(path: Path, device: torch.device) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device=str(device))
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _read_torch(path: Path, kind: WeightsKind, device: torch.device) -> Any:
    import torch

    # The environment cannot weaken this: TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD is for calls that
    # leave weights_only open.
    mapped = kind is WeightsKind.TORCH
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
        "--allow-pickle if you trust whoever made the file.",
    )


def _damaged(path: Path, error: Exception) -> ModelError:
    reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
    return ModelError(f"{path.name} cannot be read: {reason}.", hint="Save or download it again.")
