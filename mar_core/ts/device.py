"""Where a model runs: the device that a handler takes from ``gpu_id``, and the user's choice."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.errors import UsageError
from mar_core.text import plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

__all__ = ["choose_gpu_id", "dealt_device", "handler_device", "stacked", "to_device", "wanted_ids"]

# NVIDIA's driver, and on Jetson; ROCm's; WSL's; any other graphics processor.
_DEVICE_NODES = ("/dev/nvidiactl", "/dev/nvmap", "/dev/kfd", "/dev/dxg", "/dev/dri")


def handler_device(gpu_id: int | str | None) -> tuple[str | None, torch.device]:
    """The device for a ``gpu_id``, by TorchServe's order: CUDA, XPU, MPS, XLA, CPU.

    Args:
        gpu_id: The number of the accelerator, or None for the CPU.

    Returns:
        ``map_location`` and the device; ``map_location`` is None for XLA.
    """
    import torch

    if gpu_id is not None:
        if torch.cuda.is_available():
            return "cuda", torch.device(f"cuda:{gpu_id}")
        if os.environ.get("TS_IPEX_GPU_ENABLE") == "true" and torch.xpu.is_available():
            return "xpu", torch.device(f"xpu:{gpu_id}")
        if torch.backends.mps.is_available():
            return "mps", torch.device("mps")
    if importlib.util.find_spec("torch_xla") is not None:
        xla = importlib.import_module("torch_xla.core.xla_model")
        return None, xla.xla_device()
    return "cpu", torch.device("cpu")


def to_device(tensor: torch.Tensor, device: Any) -> torch.Tensor:
    """A tensor on a device; on CUDA by way of pinned memory, so that nobody waits for the copy.

    What is asked of the device on the same stream comes after it.

    Args:
        tensor: The tensor, on the CPU as a rule.
        device: Where it goes.
    """
    import torch

    if not _copies(device) or tensor.device.type != "cpu":
        return tensor.to(device)
    pinned = tensor if tensor.is_pinned() else tensor.pin_memory()
    return pinned.to(torch.device(device), non_blocking=True)


def stacked(tensors: Sequence[torch.Tensor], device: Any) -> torch.Tensor:
    """Tensors of one shape and dtype as one batch on a device.

    Args:
        tensors: The tensors, on the CPU as a rule.
        device: Where the batch goes; on CUDA it is put together in pinned memory.

    Returns:
        A tensor of shape ``[len(tensors), …]``.
    """
    import torch

    first = tensors[0]
    if not _copies(device) or any(one.device.type != "cpu" for one in tensors):
        return torch.stack([one.to(device) for one in tensors])
    shape = (len(tensors), *first.shape)
    dtype = functools.reduce(torch.promote_types, [one.dtype for one in tensors])
    place = torch.empty(shape, dtype=dtype, pin_memory=True)
    torch.stack(list(tensors), out=place)
    return place.to(torch.device(device), non_blocking=True)


def _copies(device: Any) -> bool:
    """Whether a device is apart from the CPU's memory, with streams that copy."""
    import torch

    return device is not None and torch.device(device).type == "cuda"


def choose_gpu_id(device: str | None, config: dict[str, Any]) -> int | None:
    """The ``gpu_id`` for what the user and the archive ask for.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:N``, ``mps``, or None to decide by what is there.
        config: The archive's model-config.yaml: ``deviceType`` and ``deviceIds``.

    Returns:
        The number of the accelerator, or None for the CPU.

    Raises:
        UsageError: The user asked for a device that this machine does not have.
    """
    if device is None:
        return _automatic(config)
    kind, _, number = device.partition(":")
    if kind == "cpu" and not number:
        return None
    if kind not in {"cuda", "gpu", "mps", "xpu"} or not (number or "0").isdigit():
        raise UsageError(
            f"There is no device {device!r}.", hint="Choose one of cpu, cuda, cuda:N and mps."
        )
    index = int(number or 0)
    count = accelerators()
    if index >= count:
        raise UsageError(
            f"The device {device} is not there: PyTorch sees {count or 'no'} "
            f"{plural(count, 'accelerator')} on this machine.",
            hint="Leave --device out to take what there is, or say --device cpu.",
        )
    return index


def accelerators() -> int:
    """How many accelerators ``handler_device`` can choose from.

    PyTorch takes seconds to import, and is not imported to learn that a machine has none.
    """
    if "torch" not in sys.modules and not _may_have_one():
        return 0
    import torch

    if torch.cuda.is_available():
        return torch.cuda.device_count()
    if os.environ.get("TS_IPEX_GPU_ENABLE") == "true" and torch.xpu.is_available():
        return int(torch.xpu.device_count())
    return int(torch.backends.mps.is_available())


def _may_have_one() -> bool:
    """Whether the operating system shows what CUDA, ROCm, XPU or MPS would need."""
    return sys.platform in {"darwin", "win32"} or any(Path(node).exists() for node in _DEVICE_NODES)


def dealt_device(turn: int, config: dict[str, Any]) -> str:
    """The device of a worker whose turn a GPU is, as ``choose_gpu_id`` takes it.

    Args:
        turn: The number of the GPU. One that PyTorch does not see is no error: whoever dealt it
            out has not asked PyTorch.
        config: The archive's model-config.yaml.
    """
    gpu = _automatic(config)
    if gpu is None:
        return "cpu"
    return f"gpu:{turn if turn < accelerators() else gpu}"


def wanted_ids(config: Mapping[str, Any], count: int) -> list[int]:
    """The GPUs that a config names, of so many.

    One number that is not there makes TorchServe ignore the list.
    """
    wanted = config.get("deviceIds")
    if not isinstance(wanted, list):
        return []
    valid = all(type(number) is int and 0 <= number < count for number in wanted)
    return list(wanted) if valid else []


def _automatic(config: Mapping[str, Any]) -> int | None:
    count = accelerators()
    if config.get("deviceType") == "cpu" or count == 0:
        return None
    return (wanted_ids(config, count) or [0])[0]
