"""How far two tensors are apart: their numbers, read where they lie, without torch."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

from mar_core.errors import ModelError
from mar_core.weights.allowed import ELEMENT_BYTES
from mar_core.weights.weights_format import contiguous

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.weights.weights_format import TensorInfo

__all__ = ["CHUNK", "is_readable", "largest_difference", "read_chunks"]

CHUNK = 4 << 20
_MAX_STRIDED = 64 << 20  # bytes of a tensor that is gathered in memory
_PLAIN = {
    "bool": "u1", "uint8": "u1", "int8": "i1", "int16": "<i2", "int32": "<i4", "int64": "<i8",
    "uint16": "<u2", "uint32": "<u4", "uint64": "<u8", "float16": "<f2", "float32": "<f4",
    "float64": "<f8", "complex64": "<c8", "complex128": "<c16", "qint8": "i1", "quint8": "u1",
    "qint32": "<i4",
}  # fmt: skip
# Formats that NumPy does not know: what they are read as.
_RAW = {"bfloat16": "<u2", "float8_e5m2": "u1", "float8_e4m3fn": "u1", "complex32": "<f2"}


def largest_difference(
    stream: BinaryIO, info: TensorInfo, other_stream: BinaryIO, other: TensorInfo
) -> float | None:
    """The largest difference of two numbers at one place of two tensors of the same shape.

    Args:
        stream: The weights file of the first, seekable.
        info: The first tensor.
        other_stream: The weights file of the second.
        other: The second tensor.

    Returns:
        0 where all numbers are equal, NaN counting as equal to NaN; NaN where only one of two is
        NaN; None where one of the tensors cannot be read.

    Raises:
        ModelError: One of the files ends too early.
    """
    if not (is_readable(info) and is_readable(other)):
        return None
    largest = 0.0
    chunks = zip(read_chunks(stream, info), read_chunks(other_stream, other), strict=True)
    for first, second in chunks:
        distance = _largest(first, second)
        if math.isnan(distance):
            return distance
        largest = max(largest, distance)
    return largest


def _largest(first: Any, second: Any) -> float:
    import numpy as np

    differ = first != second
    common = np.result_type(first, second)
    if common.kind in "fc":
        differ &= ~(np.isnan(first) & np.isnan(second))
    if not differ.any():
        return 0.0
    first, second = first[differ].astype(common), second[differ].astype(common)
    if common.kind in "iu":  # the difference of two int64 may need 65 bits, but not its size
        low, high = np.minimum(first, second), np.maximum(first, second)
        return float((high.astype(np.uint64) - low.astype(np.uint64)).max())
    wide = np.complex128 if common.kind == "c" else np.float64
    with np.errstate(invalid="ignore", over="ignore"):
        distances = np.abs(first.astype(wide) - second.astype(wide))
    return math.nan if np.isnan(distances).any() else float(distances.max())


def is_readable(info: TensorInfo) -> bool:
    """Whether the numbers of a tensor can be read here."""
    known = info.dtype in _PLAIN or info.dtype in _RAW
    if not known or info.start is None or sys.byteorder != "little":
        return False
    if info.strides == contiguous(info.shape) and not info.overruns:
        return True
    # One that repeats its numbers, as ``expand`` makes them, may have more than the file has bytes.
    size = info.numel * ELEMENT_BYTES[info.dtype]
    return not info.overruns and size <= min(info.storage_bytes, _MAX_STRIDED)


def read_chunks(stream: BinaryIO, info: TensorInfo) -> Iterator[Any]:
    """The numbers of a tensor, in the order of its indices.

    Args:
        stream: The weights file, seekable.
        info: The tensor; ``is_readable``.

    Yields:
        Flat NumPy arrays of ``CHUNK`` elements, the last one shorter.

    Raises:
        ModelError: The file ends too early.
    """
    if info.numel == 0:
        return
    if info.strides == contiguous(info.shape):
        for first in range(0, info.numel, CHUNK):
            count = min(CHUNK, info.numel - first)
            yield _decode(_read(stream, info, info.offset + first, count), info.dtype)
    else:
        whole = _strided(stream, info)
        for first in range(0, info.numel, CHUNK):
            yield whole[first : first + CHUNK]


def _strided(stream: BinaryIO, info: TensorInfo) -> Any:
    import numpy as np

    reach = sum((n - 1) * step for n, step in zip(info.shape, info.strides, strict=True)) + 1
    flat = _decode(_read(stream, info, info.offset, reach), info.dtype)
    steps = tuple(step * flat.itemsize for step in info.strides)
    return np.lib.stride_tricks.as_strided(flat, info.shape, steps, writeable=False).reshape(-1)


def _read(stream: BinaryIO, info: TensorInfo, first: int, count: int) -> bytes:
    size = ELEMENT_BYTES[info.dtype]
    stream.seek((info.start or 0) + first * size)
    raw = stream.read(count * size)
    if len(raw) != count * size:
        raise ModelError(f"The tensor {info.name!r} is cut off.")
    return raw


def _decode(raw: bytes, dtype: str) -> Any:
    import numpy as np

    if dtype in _PLAIN:
        return np.frombuffer(raw, _PLAIN[dtype])
    codes = np.frombuffer(raw, _RAW[dtype])
    if dtype == "bfloat16":
        return (codes.astype("<u4") << 16).view("<f4")
    if dtype == "float8_e5m2":  # the upper half of a float16
        return (codes.astype("<u2") << 8).view("<f2")
    if dtype == "complex32":
        return codes.astype("<f4").view("<c8")
    return _e4m3fn()[codes]


def _e4m3fn() -> Any:
    """The value of each code of float8_e4m3fn: sign, 4 bits of exponent, 3 of fraction, no inf."""
    import numpy as np

    codes = np.arange(256)
    sign = np.where(codes & 0x80, -1.0, 1.0)
    exponent, fraction = (codes >> 3) & 0xF, codes & 0x7
    small = fraction / 8 * 2.0**-6
    large = (1 + fraction / 8) * 2.0 ** (exponent - 7)
    values = sign * np.where(exponent == 0, small, large)
    values[codes & 0x7F == 0x7F] = np.nan  # noqa: PLR2004 - all ones but the sign
    return values.astype("<f4")
