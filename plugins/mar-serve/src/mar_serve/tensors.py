"""Tensors of the Open Inference Protocol: JSON or raw bytes in, JSON or raw bytes out.

Numbers go through the standard library's ``array`` and ``struct``, so that the server needs neither
numpy nor torch.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from typing import TYPE_CHECKING, Any

from mar_serve.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Tensor", "flat", "from_bytes", "nested", "shape_of", "to_bytes"]

# What each datatype is to ``array``; half precision and BYTES are done by hand.
_CODES = {
    "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q",
    "FP32": "f", "FP64": "d",
}  # fmt: skip
_HALF = {"FP16", "BF16"}
KINDS = frozenset({*_CODES, *_HALF, "BOOL", "BYTES"})
LENGTH = 4
MOST_DIMENSIONS = 32
# Lists of nothing that a shape may ask for: a body of a few bytes has any number of them.
MOST_EMPTY = 10_000


class Tensor:
    """A named tensor.

    Args:
        name: Its name.
        datatype: ``FP32``, ``BYTES`` and so on.
        shape: Its dimensions.
        values: Its values, flat, the last dimension fastest; bytes for ``BYTES``.

    Attributes:
        single: Whether each element of its only dimension is a value of its own.
    """

    __slots__ = ("datatype", "name", "shape", "single", "values")

    def __init__(self, name: str, datatype: str, shape: Sequence[int], values: list[Any]) -> None:
        self.name = name
        self.datatype = datatype
        self.shape = list(shape)
        self.values = values
        self.single = False


def check_shape(shape: Any, name: str) -> list[int]:
    """A shape that can be counted with.

    Raises:
        ServeError: It is none.
    """
    whole = isinstance(shape, list) and all(type(one) is int and one >= 0 for one in shape)
    if not whole or len(shape) > MOST_DIMENSIONS:
        raise bad_request(f"The shape of the input {name!r} must be a list of whole numbers.")
    if 0 in shape and math.prod(shape[: shape.index(0)]) > MOST_EMPTY:
        raise bad_request(f"The shape of the input {name!r} has too many rows without values.")
    return list(shape)


def from_bytes(raw: bytes, datatype: str, name: str) -> list[Any]:
    """The values in a tensor's bytes, which are little-endian.

    Raises:
        ServeError: They are not a whole number of values, or the datatype is not known.
    """
    if datatype == "BYTES":
        return list(_strings(raw, name))
    if datatype == "BOOL":
        return [byte != 0 for byte in raw]
    try:
        if datatype == "FP16":
            return [value for (value,) in struct.iter_unpack("<e", raw)]
        if datatype == "BF16":
            halves = struct.iter_unpack("<H", raw)
            wide = array("I", (half << 16 for (half,) in halves))
            return array("f", wide.tobytes()).tolist()
        values = array(_CODES[datatype], raw)
    except KeyError:
        raise bad_request(
            f"The datatype {datatype!r} of the input {name!r} is not known."
        ) from None
    except (ValueError, struct.error):
        raise bad_request(f"The data of the input {name!r} is not whole {datatype}s.") from None
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()


def _strings(raw: bytes, name: str) -> Iterator[bytearray]:
    """Each string is preceded by its length in four bytes."""
    at = 0
    while at < len(raw):
        end = at + LENGTH
        size = int.from_bytes(raw[at:end], "little")
        if end > len(raw) or end + size > len(raw):
            raise bad_request(f"The data of the input {name!r} ends in the middle of a string.")
        yield bytearray(raw[end : end + size])
        at = end + size


def to_bytes(values: Sequence[Any], datatype: str) -> bytes:
    """A tensor's values as bytes."""
    if datatype == "BYTES":
        texts = [value.encode() if isinstance(value, str) else bytes(value) for value in values]
        return b"".join(len(text).to_bytes(LENGTH, "little") + text for text in texts)
    if datatype == "BOOL":
        return bytes(bool(value) for value in values)
    packed = array(_CODES[datatype], values)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def flat(data: Any) -> list[Any]:
    """Nested lists as one flat list."""
    if not isinstance(data, list):
        return [data]
    if not any(isinstance(item, list) for item in data):
        return data
    values: list[Any] = []
    for item in data:
        values += flat(item)
    return values


def nested(values: Sequence[Any], shape: Sequence[int]) -> Any:
    """Flat values as nested lists of a shape."""
    if not shape:
        return values[0]
    step = math.prod(shape[1:])
    if len(shape) == 1:
        return list(values)
    return [nested(values[at * step : (at + 1) * step], shape[1:]) for at in range(shape[0])]


def shape_of(value: Any) -> list[int] | None:
    """The shape of nested lists; None where they have none."""
    if not isinstance(value, list):
        return []
    if not value:
        return [0]
    first = shape_of(value[0])
    if first is None or any(shape_of(item) != first for item in value[1:]):
        return None
    return [len(value), *first]
