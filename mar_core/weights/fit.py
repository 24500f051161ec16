"""Puts a state dict into a network, without copying where that comes to the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import torch

__all__ = ["fit"]

# What DistributedDataParallel and torch.compile put before every name.
_PREFIXES = ("module.", "_orig_mod.")
_SHOWN = 5


def fit(model: torch.nn.Module, state: dict[str, torch.Tensor], *, name: str) -> None:
    """Load a state dict into a network.

    The tensors become the network's parameters as they are, mapped from the file, wherever copying
    them would give the same network.

    Args:
        model: The network.
        state: Tensors by name; prefixes of wrappers used in training are taken off.
        name: The weights file, for messages.

    Raises:
        ModelError: Names or shapes differ; the sentence lists them.
    """
    expected = model.state_dict()
    state = _without_prefixes(state, expected)
    try:
        if _can_assign(model, state, expected):
            model.load_state_dict(state, assign=True)
        else:
            model.load_state_dict(_with_tied(state, expected))
    except RuntimeError as error:
        raise ModelError(
            f"{name} does not fit {type(model).__name__}: "
            f"{_differences(state, expected) or error}.",
            hint="Give the model file that these weights were trained with.",
        ) from error


def _without_prefixes(
    state: dict[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    for _ in _PREFIXES:
        for prefix in _PREFIXES:
            wrapped = all(key.startswith(prefix) for key in state)
            if wrapped and not any(key.startswith(prefix) for key in expected):
                state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _can_assign(
    model: torch.nn.Module,
    state: Mapping[str, torch.Tensor],
    expected: Mapping[str, torch.Tensor],
) -> bool:
    """Copying converts types and keeps shared parameters shared; assigning does neither."""
    import torch

    shared = [tensor.data_ptr() for tensor in expected.values() if _is_plain(tensor)]
    return (
        type(model).load_state_dict is torch.nn.Module.load_state_dict
        and len(shared) == len(set(shared))
        and all(
            key in state and _is_plain(state[key]) and state[key].dtype == tensor.dtype
            for key, tensor in expected.items()
            if _is_plain(tensor)
        )
    )


def _is_plain(value: object) -> bool:
    """A tensor that has memory of its own."""
    import torch

    return isinstance(value, torch.Tensor) and value.device.type != "meta" and value.numel() > 0


def _with_tied(
    state: dict[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Add the names that safetensors leaves out because another name has the same tensor."""
    by_memory = {
        tensor.data_ptr(): state[key]
        for key, tensor in expected.items()
        if key in state and _is_plain(tensor)
    }
    tied = {
        key: by_memory[tensor.data_ptr()]
        for key, tensor in expected.items()
        if key not in state and _is_plain(tensor) and tensor.data_ptr() in by_memory
    }
    return {**state, **tied}


def _differences(
    state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> str | None:
    parts = [
        _list("missing", (key for key in expected if key not in state)),
        _list("unexpected", (key for key in state if key not in expected)),
        _list(
            "of another shape",
            (
                f"{key} ({_shape(state[key])} in the file, {_shape(tensor)} in the model)"
                for key, tensor in expected.items()
                if key in state and _shape(state[key]) != _shape(tensor)
            ),
        ),
    ]
    return "; ".join(part for part in parts if part)


def _shape(tensor: object) -> str:
    shape = getattr(tensor, "shape", None)
    return "×".join(map(str, shape)) if shape else "one number"


def _list(what: str, keys: Iterable[str]) -> str:
    found = list(keys)
    if not found:
        return ""
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{len(found)} {what}: {', '.join(found[:_SHOWN])}{more}"
