"""``.npy`` and ``.npz``: arrays of numbers are read, arrays of pickled objects are a fault."""

from __future__ import annotations

import ast
import io
from typing import BinaryIO

from mar_core.errors import ModelError
from mar_core.weights.kinds import WeightsKind
from mar_core.weights.report import WeightsReport
from mar_core.weights.zipindex import check_layout, read_directory, read_head

__all__ = ["examine_numpy"]

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 64 << 10


def examine_numpy(stream: BinaryIO) -> WeightsReport:
    """Look at a NumPy file.

    Args:
        stream: The file, seekable.
    """
    report = WeightsReport(kind=WeightsKind.NUMPY)
    stream.seek(0)
    if stream.read(len(_MAGIC)) == _MAGIC:
        stream.seek(0)
        _examine_array(stream, "The array", report)
        return report
    try:
        entries = read_directory(stream)
        check_layout(stream, entries)
        for entry in entries:
            head = read_head(stream, entry, length=_MAX_HEADER)
            _examine_array(io.BytesIO(head), f"Its array {entry.name!r}", report)
    except ModelError as error:
        report.fault("MAR-W008", f"The file is no exact zip: {error}.")
    return report


def _examine_array(stream: BinaryIO, what: str, report: WeightsReport) -> None:
    head = stream.read(12)
    wide = head[6:7] > b"\x01"
    length = int.from_bytes(head[8 : 12 if wide else 10], "little")
    if head[: len(_MAGIC)] != _MAGIC or length > _MAX_HEADER:
        report.fault("MAR-W006", f"{what} has no proper header.")
        return
    header = (head[12 if wide else 10 :] + stream.read(length))[:length]
    try:
        described = ast.literal_eval(header.decode("latin-1").strip())
        objects = "O" in repr(described["descr"])
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        report.fault("MAR-W006", f"{what} has no proper header.")
        return
    if objects:
        report.fault("MAR-W016", f"{what} holds pickled objects.")
