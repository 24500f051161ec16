"""Just enough of protobuf to know an ONNX model and to list its tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core import WeightsFile

__all__ = ["Field", "is_onnx", "read_numbers", "read_text", "walk_fields"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT = 10
_MORE = 0x80  # set in every byte of a number but its last
_MAX_FIELDS = 10_000
_MAX_TEXT = 64 << 10
_MAX_PACKED = 1024
_FIELD = 1024  # what reading one field costs, in bytes read
# ModelProto: field number -> wire type.
_MODEL_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
_GRAPH, _OPSET = 7, 8

# A field's number, its wire type, and its value: the number, or where its bytes begin and end.
Field = tuple[int, int, int, int]


def is_onnx(file: WeightsFile) -> bool:
    """Whether the file is one ``ModelProto`` from end to end, with a graph and an operator set."""
    seen, count = set(), 0
    try:
        for number, wire, _, _ in walk_fields(file, start=0, end=file.size):
            count += 1
            if _MODEL_FIELDS.get(number) != wire or count > _MAX_FIELDS:
                return False
            seen.add(number)
    except ValueError:
        return False
    return {_GRAPH, _OPSET} <= seen


def walk_fields(file: WeightsFile, *, start: int, end: int) -> Iterator[Field]:
    """The fields of one message, skipping over their bytes.

    Raises:
        ValueError: The bytes are no protobuf message.
    """
    stream = file.stream
    position = start
    while position < end:
        file.budget.spend(_FIELD)
        stream.seek(position)
        key, used = _read_varint(stream)
        position += used
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, used = _read_varint(stream)
            position += used
            yield number, wire, value, position
            continue
        length, used = _length(stream, wire)
        position += used
        yield number, wire, position, position + length
        position += length
    if position != end:
        raise ValueError("a field is longer than its message")


def read_numbers(stream: BinaryIO, wire: int, start: int, end: int) -> list[int]:
    """The numbers of a repeated integer field, packed or not.

    Raises:
        ValueError: There are none, or they are damaged.
    """
    if wire == _VARINT:
        return [start]
    if wire != _BYTES or end - start > _MAX_PACKED:
        raise ValueError("numbers that are none")
    numbers, position = [], start
    while position < end:
        stream.seek(position)
        number, used = _read_varint(stream)
        numbers.append(number)
        position += used
    return numbers


def read_text(stream: BinaryIO, start: int, end: int) -> str:
    """The text of a field.

    Raises:
        ValueError: It is too long, or not UTF-8.
    """
    if end - start > _MAX_TEXT:
        raise ValueError("a text is too long")
    stream.seek(start)
    return stream.read(end - start).decode("utf-8")


def _length(stream: BinaryIO, wire: int) -> tuple[int, int]:
    if wire == _BYTES:
        return _read_varint(stream)
    if wire in {_FIXED64, _FIXED32}:
        return (8 if wire == _FIXED64 else 4), 0
    raise ValueError("an unknown wire type")


def _read_varint(stream: BinaryIO) -> tuple[int, int]:
    """A number, and how many bytes it took."""
    value = 0
    for count in range(_MAX_VARINT):
        byte = stream.read(1)
        if not byte:
            raise ValueError("cut off")
        value |= (byte[0] & ~_MORE) << (7 * count)
        if not byte[0] & _MORE:
            return value, count + 1
    raise ValueError("a number is too long")
