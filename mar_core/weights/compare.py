"""How far two tensors are apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, BinaryIO

from mar_core.weights.values import is_readable, read_chunks

if TYPE_CHECKING:
    from mar_core.weights.weights_format import TensorInfo

__all__ = ["largest_difference"]


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
