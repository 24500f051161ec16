"""``.npy`` and ``.npz``: arrays of numbers are data, arrays of objects are pickles."""

from __future__ import annotations

import ast
import io
import math
import re
from typing import TYPE_CHECKING, Any, BinaryIO

from mar_core.errors import ModelError
from mar_core.weights.registry import look_inside
from mar_core.weights.weights_format import Trust, WeightsFormat
from mar_core.weights.zipindex import check_layout, read_head

if TYPE_CHECKING:
    from mar_core.weights.weights_format import WeightsFile, WeightsReport

__all__ = ["FORMAT"]

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 64 << 10
_MAX_PARSED = 10_000  # what NumPy itself reads without being told that the file is trusted
# A type as NumPy writes it: byte order, kind, width. It reads other spellings, such as ``object``.
_PLAIN = re.compile(r"[<>|=]?([biufcSUVmM])([0-9]{1,10})(?:\[\w+\])?")
_DEEPEST, _MOST_AXES = 8, 64
# Python 2 wrote integers so, and NumPy reads them: nothing may hide behind one.
_LONG = re.compile(r"(?<=\d)L")


def _identify(file: WeightsFile) -> bool:
    if file.head.startswith(_MAGIC):
        return True
    names = [entry.name.lower() for entry in file.entries]
    return bool(names) and all(name.endswith(".npy") for name in names)


def _examine(file: WeightsFile, report: WeightsReport) -> None:
    if file.head.startswith(_MAGIC):
        file.stream.seek(0)
        end = _examine_array(file.stream, "The array", report)
        if end is not None and end < file.size:  # np.save writes one array behind the other
            look_inside(file, file.rest(end), "what follows its array", report)
        return
    try:
        check_layout(file.stream, file.entries)
        for entry in file.entries:
            head = read_head(file.stream, entry, length=_MAX_HEADER)
            file.budget.spend(len(head))
            if head.startswith(_MAGIC):
                _examine_array(io.BytesIO(head), f"Its array {entry.name!r}", report)
                continue
            with file.record(entry) as stream:
                look_inside(file, stream, f"its {entry.name}", report)
    except ModelError as error:
        report.fault("MAR-W008", f"The file is no exact zip: {error}.")


def _examine_array(stream: BinaryIO, what: str, report: WeightsReport) -> int | None:
    """Where its numbers end; None where it holds other things, or that cannot be told."""
    header = _header(stream)
    if header is None:
        report.fault("MAR-W005", f"{what} has no header that can be checked.")
        return None
    kind, shape, begin = header
    width, count = _width(kind), _count(shape)
    if width is None:
        report.fault(
            "MAR-W016", f"{what} holds pickled objects, or a type that NumPy never writes."
        )
        return None
    if count is None:
        report.fault("MAR-W005", f"{what} has a shape that cannot be.")
        return None
    return begin + count * width


def _header(stream: BinaryIO) -> tuple[Any, Any, int] | None:
    """The type and the shape of an array, and where its numbers begin; None where it has none."""
    head = stream.read(12)
    begin = 10 if head[6:7] == b"\x01" else 12
    length = int.from_bytes(head[8:begin], "little")
    if length > _MAX_PARSED:
        return None
    text = (head[begin:] + stream.read(length))[:length].decode("latin-1").strip()
    for source in (text, _LONG.sub("", text)):
        try:
            described = ast.literal_eval(source)
            return described["descr"], described["shape"], begin + length
        except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
            continue
    return None


def _width(kind: Any, depth: int = 0) -> int | None:
    """The bytes of one element, where it is made of numbers and texts alone; else None."""
    if isinstance(kind, str):
        found = _PLAIN.fullmatch(kind)
        return int(found[2]) * (4 if found[1] == "U" else 1) if found else None
    if isinstance(kind, tuple) and len(kind) == 2 and depth < _DEEPEST:  # noqa: PLR2004 - a type and its shape
        width, count = _width(kind[0], depth + 1), _count(kind[1])
        return None if width is None or count is None else width * count
    if not isinstance(kind, list) or depth == _DEEPEST:
        return None
    widths = [_width_of_field(field, depth + 1) for field in kind]
    return None if None in widths else sum(filter(None, widths))


def _width_of_field(field: Any, depth: int) -> int | None:
    match field:
        case (_, kind) if isinstance(field, tuple):
            return _width(kind, depth)
        case (_, kind, shape) if isinstance(field, tuple):
            return _width((kind, shape), depth)
    return None


def _count(shape: Any) -> int | None:
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if len(sizes) > _MOST_AXES or not all(type(n) is int and 0 <= n < 2**48 for n in sizes):
        return None
    return math.prod(sizes)


FORMAT = WeightsFormat(
    name="numpy",
    title="a NumPy file",
    trust=Trust.DATA,
    identify=_identify,
    examine=_examine,
    endings=(".npy", ".npz"),
    written_by="`numpy.save`, `numpy.savez`",
    loaded_by="by the handler, not by mar",
    hint="Turn its arrays into tensors and save them with torch.save or safetensors.",
    rank=0,
)
