"""``--convert safetensors``: a state dict becomes a file that can hold nothing but tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError, UsageError
from mar_core.text import first_line
from mar_core.weights.registry import identify
from mar_core.weights.state_dict import read_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

__all__ = ["save_tensors", "to_safetensors"]

_HUGGING_FACES = "pytorch_model.bin"  # whose readers look for model.safetensors


def to_safetensors(
    path: Path, folder: Path, *, allow_pickle: bool = False
) -> tuple[Path, tuple[str, ...]]:
    """Write the tensors of a state dict as safetensors, under the same name with that ending.

    A ``pytorch_model.bin`` becomes ``model.safetensors``, which is what its readers look for.

    Args:
        path: The state dict, as ``torch.save`` wrote it.
        folder: Where the new file goes.
        allow_pickle: Whether the file may run code while it is read.

    Returns:
        The new file, or ``path`` where it is safetensors already, and what was done.

    Raises:
        UsageError: The file is not there, or is no state dict.
        ModelError: It is damaged, or holds more than tensors.
    """
    import torch

    try:
        with path.open("rb") as stream:
            kind = identify(stream)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    if kind.name == "safetensors":
        return path, (f"{path.name} is safetensors already",)
    if kind.carries_structure or kind.name not in {"torch", "torch-legacy", "pickle"}:
        raise UsageError(
            f"{path.name} is {kind.title}, not a state dict.", hint="Leave out --convert."
        )
    weights = read_weights(path, device=torch.device("cpu"), trusted=allow_pickle)
    tensors = weights.state_dict() if isinstance(weights, torch.nn.Module) else weights
    stem = "model" if path.name == _HUGGING_FACES else path.stem
    target = folder / f"{stem}.safetensors"
    twice = save_tensors(tensors, target)
    reasons = [f"{path.name} was converted: {target.name} holds its {len(tensors):,} tensors"]
    if twice:
        names = ", ".join(twice[:3]) + (", …" if len(twice) > len(twice[:3]) else "")
        reasons.append(f"tensors that share memory are written in full: {names}")
    return target, tuple(reasons)


def save_tensors(tensors: Mapping[str, Any], target: Path) -> list[str]:
    """Write a state dict as safetensors.

    Safetensors cannot say that two names are one tensor. Each is written in full, so that any
    reader gets every name; a network that ties them ties them again when it is made.

    Args:
        tensors: The state dict.
        target: The file.

    Returns:
        The names of tensors that share their memory with one before them.

    Raises:
        ModelError: It holds what safetensors cannot.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    others = [name for name, value in tensors.items() if not hasattr(value, "untyped_storage")]
    if others:
        raise ModelError(
            f"The state dict holds more than tensors, which safetensors cannot: {others[0]!r}.",
            hint="Leave it as it is: without --convert.",
        )
    seen: set[int] = set()
    twice: list[str] = []
    own: dict[str, torch.Tensor] = {}
    for name, value in tensors.items():
        tensor = value.detach()
        try:
            memory = tensor.untyped_storage().data_ptr() if tensor.numel() else 0
            shared = memory in seen and bool(memory)
            own[name] = tensor.clone().contiguous() if shared else tensor.contiguous()
        except (RuntimeError, NotImplementedError) as error:
            raise _unfit(name, error) from error
        seen.add(memory)
        if shared:
            twice.append(name)
    try:
        save_file(own, target, metadata={"format": "pt"})
    except (SafetensorError, ValueError, KeyError, RuntimeError, OSError) as error:
        raise _unfit(target.name, error) from error
    return twice


def _unfit(name: str, error: Exception) -> ModelError:
    return ModelError(
        f"{name} cannot be written as safetensors: {first_line(error)}.",
        hint="Leave it as it is: without --convert.",
    )
