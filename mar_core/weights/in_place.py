"""Reads tensors where they lie in an archive: views of the mapped file, nothing written or copied.

The mapping is private. Pages are shared with every process that reads the same archive until
somebody writes to one, and then the copy is that process's own.
"""

from __future__ import annotations

import inspect
import pickle
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError
from mar_core.weights.file import WeightsFile

if TYPE_CHECKING:
    import torch

    from mar_core.weights.source import ModelSource

__all__ = ["read_in_place"]

# torch.save lays storages out at multiples of it, and PyTorch's kernels expect no less.
_ALIGNED = 64


def read_in_place(source: ModelSource, device: torch.device) -> Any:
    """What a weights file holds, as views of the archive.

    Args:
        source: The weights, which lie in the archive alone.
        device: Where the tensors go; those for the CPU stay where they are.

    Returns:
        What ``torch.load(weights_only=True)`` gives, or the tensors by name; None where the file
        has to be read by its path.
    """
    if source.kind == "safetensors":
        return _read_safetensors(source, device)
    return _read_torch(source, device) if source.kind == "torch" else None


def _read_torch(source: ModelSource, device: torch.device) -> Any:
    """Read by PyTorch's own reader and rules, which take a mapped storage but no part of a file.

    ``torch.load(mmap=True)`` calls the same function. It is not public: where it is missing or
    takes other arguments, and for everything that is refused, the file is read by its path.
    """
    import torch
    from torch import serialization

    load = getattr(serialization, "_load", None)
    unpickler = getattr(serialization, "_weights_only_unpickler", None)
    if load is None or unpickler is None:
        return None
    parameters = inspect.signature(load).parameters
    if not {"zip_file", "map_location", "overall_storage"} <= set(parameters):
        return None
    said = {"weights_only": True} if "weights_only" in parameters else {}
    try:
        with source.open() as stream:
            reader = torch._C.PyTorchFileReader(stream)  # noqa: SLF001
            return load(
                reader,
                device,
                unpickler,
                overall_storage=_storage(source),
                encoding="utf-8",
                **said,
            )
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError, KeyError):
        return None  # and what reads the path says what is wrong


def _storage(source: ModelSource) -> torch.UntypedStorage:
    """The bytes of the file as PyTorch has them; copied where they lie at an odd address."""
    import torch

    mapped = torch.frombuffer(source.view(), dtype=torch.uint8)
    return (mapped.clone() if mapped.data_ptr() % _ALIGNED else mapped).untyped_storage()


def _read_safetensors(source: ModelSource, device: torch.device) -> dict[str, torch.Tensor] | None:
    import torch

    from mar_core.weights.formats.safetensors_file import read_header

    try:
        with source.open() as stream:
            infos = read_header(WeightsFile(stream))
    except (ValueError, RecursionError, ModelError):
        return None
    view, tensors = source.view(), {}
    for info in infos:
        dtype = getattr(torch, info.dtype, None)
        if dtype is None or info.start is None or info.numel * dtype.itemsize != info.storage_bytes:
            return None
        part = view[info.start : info.start + info.storage_bytes]
        try:
            shaped = _tensor(part, dtype).reshape(info.shape)
        except (TypeError, RuntimeError):  # a size, beside one of 0, that PyTorch cannot count
            return None
        tensors[info.name] = shaped.to(device)
    return tensors


def _tensor(part: memoryview, dtype: torch.dtype) -> torch.Tensor:
    """A flat tensor over bytes; a copy of them where they lie at an odd address."""
    import torch

    if not part:
        return torch.empty(0, dtype=dtype)
    raw = torch.frombuffer(part, dtype=torch.uint8)
    return (raw.clone() if raw.data_ptr() % dtype.itemsize else raw).view(dtype)
