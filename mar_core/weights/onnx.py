"""ONNX: its initializers, and where their data lies."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from mar_core.weights.kinds import WeightsKind
from mar_core.weights.protobuf import read_numbers, read_text, walk_fields
from mar_core.weights.report import TensorInfo, WeightsReport, contiguous

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["examine_onnx"]

_MAX_TENSORS = 200_000
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


def examine_onnx(stream: BinaryIO) -> WeightsReport:
    """Look at an ONNX model.

    Args:
        stream: The file, seekable.
    """
    report = WeightsReport(kind=WeightsKind.ONNX)
    end = stream.seek(0, io.SEEK_END)
    try:
        for start, stop in _initializers(stream, end):
            report.tensors.append(_tensor(stream, start, stop, report))
            if len(report.tensors) > _MAX_TENSORS:
                return report
    except ValueError as error:
        report.fault("MAR-W006", f"The ONNX model cannot be read: {error}.")
        return report
    report.listed = True
    return report


def _initializers(stream: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    for number, wire, start, stop in walk_fields(stream, start=0, end=end):
        if number == _GRAPH and wire == _BYTES:
            for inner, kind, begin, limit in walk_fields(stream, start=start, end=stop):
                if inner == _INITIALIZER and kind == _BYTES:
                    yield begin, limit


def _tensor(stream: BinaryIO, start: int, end: int, report: WeightsReport) -> TensorInfo:
    shape: list[int] = []
    name, dtype, raw = "", "unknown", None
    for number, wire, begin, stop in walk_fields(stream, start=start, end=end):
        if number == _DIMS:
            shape.extend(read_numbers(stream, wire, begin, stop))
        elif number == _DTYPE and wire == 0:
            dtype = _DTYPES.get(begin, "unknown")
        elif number == _NAME and wire == _BYTES:
            name = read_text(stream, begin, stop)
        elif number == _RAW and wire == _BYTES:
            raw = (begin, stop)
        elif number == _EXTERNAL and wire == _BYTES:
            _note_external(stream, begin, stop, report)
    return TensorInfo(
        name=name,
        dtype=dtype,
        shape=tuple(shape),
        strides=contiguous(shape),
        start=raw[0] if raw else None,
        storage_bytes=raw[1] - raw[0] if raw else 0,
    )


def _note_external(stream: BinaryIO, start: int, end: int, report: WeightsReport) -> None:
    fields = {
        number: read_text(stream, begin, stop)
        for number, wire, begin, stop in walk_fields(stream, start=start, end=end)
        if wire == _BYTES
    }
    if fields.get(_KEY) == "location" and fields.get(_VALUE, "") not in report.external:
        report.external.append(fields.get(_VALUE, ""))
