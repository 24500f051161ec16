"""safetensors: the header's rules, checked without loading a tensor, and views of the tensors."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError
from mar_core.weights.rebuild import MAX_DIMENSIONS
from mar_core.weights.weights_format import TensorInfo, WeightsFile

if TYPE_CHECKING:
    import torch

    from mar_core.weights.weights_format import ModelSource

__all__ = ["LENGTH_BYTES", "MAX_HEADER", "TooLargeError", "read_header", "view_safetensors"]

MAX_HEADER = 100_000_000  # the format's own
_MAX_CHECKED = 8 << 20  # parsed, it takes twenty times as much memory
_MAX_TENSORS = 100_000
_PARSING = 16  # what parsing a byte of JSON costs, in bytes read
LENGTH_BYTES = 8
_MAX_DIGITS = 20
_METADATA = "__metadata__"
# The format's dtypes: PyTorch's name, and the bits of one element.
_DTYPES = {
    "BOOL": ("bool", 8), "U8": ("uint8", 8), "I8": ("int8", 8), "I16": ("int16", 16),
    "U16": ("uint16", 16), "F16": ("float16", 16), "BF16": ("bfloat16", 16), "I32": ("int32", 32),
    "U32": ("uint32", 32), "F32": ("float32", 32), "F64": ("float64", 64), "I64": ("int64", 64),
    "U64": ("uint64", 64), "C64": ("complex64", 64), "F8_E4M3": ("float8_e4m3fn", 8),
    "F8_E5M2": ("float8_e5m2", 8), "F8_E8M0": ("float8_e8m0fnu", 8),
    "F8_E4M3FNUZ": ("float8_e4m3fnuz", 8), "F8_E5M2FNUZ": ("float8_e5m2fnuz", 8),
    "F4": ("float4_e2m1fn_x2", 4), "F6_E2M3": ("float6_e2m3fn", 6), "F6_E3M2": ("float6_e3m2fn", 6),
}  # fmt: skip


def read_header(file: WeightsFile) -> list[TensorInfo]:
    """The tensors of a file, where they lie.

    Raises:
        ValueError: The header is not right, or too long to be checked in little memory.
    """
    header, body, size = _read_header(file)
    infos = [_tensor(name, entry, body) for name, entry in header.items() if name != _METADATA]
    _check_tiling(infos, body, size)
    return infos


class TooLargeError(ValueError):
    """The header is too long to be checked in little memory."""


def _read_header(file: WeightsFile) -> tuple[dict[str, Any], int, int]:
    """The header, where the tensors' bytes begin, and how many there are."""
    size, stream = file.size, file.stream
    stream.seek(0)
    length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
    body = LENGTH_BYTES + length
    if length > MAX_HEADER or body > size:
        raise ValueError(f"it says that it is {length:,} bytes long")
    if length > _MAX_CHECKED:
        raise TooLargeError
    file.budget.spend(length * _PARSING)
    raw = stream.read(length)
    try:
        header = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_no_repeats,
            parse_constant=_no_constant,
            parse_int=_bounded,
        )
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError("it is not JSON") from error
    if not raw.startswith(b"{") or not isinstance(header, dict):
        raise ValueError("it is no object")
    if len(header) > _MAX_TENSORS:
        raise TooLargeError
    _check_metadata(header.get(_METADATA, {}))
    return header, body, size - body


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("it has a key twice")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise ValueError(f"it holds {name}")


def _bounded(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError("it holds a number that is too long")
    return int(digits)


def _check_metadata(metadata: Any) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("its metadata must be texts")


def _tensor(name: str, entry: Any, body: int) -> TensorInfo:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"its tensor {name!r} is described incompletely")
    if not name.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in name):
        raise ValueError(f"its tensor {name!r} has a name that is no text")
    shape, span = entry["shape"], entry["data_offsets"]
    if not _are_sizes(shape) or not _are_sizes(span) or len(span) != 2:  # noqa: PLR2004
        raise ValueError(f"its tensor {name!r} has no proper shape and span")
    if len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"its tensor {name!r} has {len(shape):,} dimensions")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in _DTYPES:
        raise ValueError(f"its tensor {name!r} has an unknown dtype")
    dtype, bits = _DTYPES[entry["dtype"]]
    begin, end = span
    if math.prod(shape) * bits != (end - begin) * 8:
        raise ValueError(f"its tensor {name!r} has a span that is not as long as its shape asks")
    return TensorInfo(
        name=name,
        dtype=dtype,
        shape=tuple(shape),
        start=body + begin,
        storage_bytes=end - begin,
    )


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)


def _check_tiling(infos: list[TensorInfo], body: int, size: int) -> None:
    """Every byte belongs to one tensor: nothing hides between or behind them."""
    position = body
    for info in sorted(infos, key=lambda info: ((info.start or 0), info.storage_bytes)):
        start = info.start or 0
        if start != position:
            raise ValueError(f"there is a hole or an overlap before its tensor {info.name!r}")
        position = start + info.storage_bytes
    total = sum(info.storage_bytes for info in infos)
    if total != size:
        raise ValueError(f"its tensors take {total:,} bytes and the file has {size:,} for them")


def view_safetensors(source: ModelSource, device: torch.device) -> dict[str, torch.Tensor] | None:
    """The tensors by name, as views of the archive; None where the file has to be read by its path.

    Args:
        source: The weights, which lie in the archive alone.
        device: Where the tensors go; those for the CPU stay where they are.
    """
    import torch

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
            shaped = _flat(part, dtype).reshape(info.shape)
        except (TypeError, RuntimeError):  # a size, beside one of 0, that PyTorch cannot count
            return None
        tensors[info.name] = shaped.to(device)
    return tensors


def _flat(part: memoryview, dtype: torch.dtype) -> torch.Tensor:
    """A flat tensor over bytes; a copy of them where they lie at an odd address."""
    import torch

    if not part:
        return torch.empty(0, dtype=dtype)
    raw = torch.frombuffer(part, dtype=torch.uint8)
    return (raw.clone() if raw.data_ptr() % dtype.itemsize else raw).view(dtype)
