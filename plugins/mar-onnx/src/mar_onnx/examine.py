"""An ONNX model's initializers, and where their data lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core import TensorInfo
from mar_onnx.protobuf import read_numbers, read_text, walk_fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core import WeightsFile, WeightsReport

__all__ = ["examine"]

_MAX_DIMENSIONS = 64
_GRAPH, _INITIALIZER = 7, 5
_DIMS, _DTYPE, _NAME, _RAW, _EXTERNAL = 1, 2, 8, 9, 13
_KEY, _VALUE = 1, 2
_BYTES = 2
_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64",
    15: "complex128", 16: "bfloat16", 17: "float8_e4m3fn", 18: "float8_e4m3fnuz",
    19: "float8_e5m2", 20: "float8_e5m2fnuz",
}  # fmt: skip


def examine(file: WeightsFile, report: WeightsReport) -> None:
    """List the initializers.

    Args:
        file: The file.
        report: Where they go.
    """
    try:
        for start, stop in _initializers(file):
            report.tensors.append(_tensor(file, start, stop, report))
    except ValueError as error:
        report.fault("MAR-W006", f"The ONNX model cannot be read: {error}.")
    else:
        report.listed = True


def _initializers(file: WeightsFile) -> Iterator[tuple[int, int]]:
    for number, wire, start, stop in walk_fields(file, start=0, end=file.size):
        if number == _GRAPH and wire == _BYTES:
            for inner, kind, begin, limit in walk_fields(file, start=start, end=stop):
                if inner == _INITIALIZER and kind == _BYTES:
                    yield begin, limit


def _tensor(file: WeightsFile, start: int, end: int, report: WeightsReport) -> TensorInfo:
    shape: list[int] = []
    name, dtype, raw = "", "unknown", None
    for number, wire, begin, stop in walk_fields(file, start=start, end=end):
        if number == _DIMS:
            shape.extend(read_numbers(file.stream, wire, begin, stop))
            if len(shape) > _MAX_DIMENSIONS:
                raise ValueError("a tensor has too many dimensions")
        elif number == _DTYPE and wire == 0:
            dtype = _DTYPES.get(begin, "unknown")
        elif number == _NAME and wire == _BYTES:
            name = read_text(file.stream, begin, stop)
        elif number == _RAW and wire == _BYTES:
            raw = (begin, stop)
        elif number == _EXTERNAL and wire == _BYTES:
            _note_external(file, begin, stop, report)
    return TensorInfo(
        name=name,
        dtype=dtype,
        shape=tuple(shape),
        start=raw[0] if raw else None,
        storage_bytes=raw[1] - raw[0] if raw else 0,
    )


def _note_external(file: WeightsFile, start: int, end: int, report: WeightsReport) -> None:
    fields = {
        number: read_text(file.stream, begin, stop)
        for number, wire, begin, stop in walk_fields(file, start=start, end=end)
        if wire == _BYTES
    }
    if fields.get(_KEY) == "location" and fields.get(_VALUE, "") not in report.external:
        report.external.append(fields.get(_VALUE, ""))
