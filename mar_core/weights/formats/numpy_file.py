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
# A plain type: byte order, kind, width. NumPy knows other spellings, such as ``object``; it writes
# these.
_PLAIN = re.compile(r"[<>|=]?(?:[?bBhHiIlLqQefdgFDG]|[biufc]\d{1,2}|[SUVa]\d*|[mM]8(?:\[\w+\])?)")
_WIDTH = re.compile(r"[<>|=]?([biufcSVaUmM])(\d+)")


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
    """Where its numbers end; None where it has none, or they cannot be counted."""
    head = stream.read(12)
    wide = head[6:7] > b"\x01"
    length = int.from_bytes(head[8 : 12 if wide else 10], "little")
    if head[: len(_MAGIC)] != _MAGIC or length > _MAX_PARSED:
        report.fault("MAR-W006", f"{what} has no proper header.")
        return None
    begin = 12 if wide else 10
    header = (head[begin:] + stream.read(length))[:length]
    try:
        described = ast.literal_eval(header.decode("latin-1").strip())
        kind, shape = described["descr"], described["shape"]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        report.fault("MAR-W006", f"{what} has no proper header.")
        return None
    if not _is_numbers(kind):
        report.fault(
            "MAR-W016", f"{what} holds pickled objects, or a type that NumPy never writes."
        )
        return None
    return _end(kind, shape, begin + length)


def _is_numbers(kind: Any, depth: int = 0) -> bool:
    if isinstance(kind, str):
        return _PLAIN.fullmatch(kind) is not None
    if isinstance(kind, tuple) and len(kind) == 2:  # noqa: PLR2004 - a type and its shape
        return _is_numbers(kind[0], depth + 1)
    return (
        isinstance(kind, list)
        and depth < 8  # noqa: PLR2004
        and all(isinstance(f, tuple) and len(f) in {2, 3} and _is_numbers(f[1], depth + 1)
                for f in kind)
    )  # fmt: skip


def _end(kind: Any, shape: Any, begin: int) -> int | None:
    width, count = _width(kind), _count(shape)
    return None if width is None or count is None else begin + count * width


def _width(kind: Any) -> int | None:
    """How many bytes one element takes; None where its spelling does not say that."""
    if isinstance(kind, str):
        found = _WIDTH.match(kind)
        if found is None:
            return 1 if kind.lstrip("<>|=") in {"?", "b", "B"} else None
        return int(found[2]) * (4 if found[1] == "U" else 1)
    if isinstance(kind, tuple):
        width, count = _width(kind[0]), _count(kind[1])
        return None if width is None or count is None else width * count
    widths = [_width(field[1] if len(field) == 2 else tuple(field[1:])) for field in kind]  # noqa: PLR2004
    return None if None in widths else sum(filter(None, widths))


def _count(shape: Any) -> int | None:
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if len(sizes) > 64 or not all(type(n) is int and 0 <= n < 2**48 for n in sizes):  # noqa: PLR2004
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
