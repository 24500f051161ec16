"""``.npy`` and ``.npz``: arrays of numbers are data, arrays of objects are pickles."""

from __future__ import annotations

import ast
import io
import math
import re
from typing import TYPE_CHECKING, Any, BinaryIO

from mar_core.errors import ModelError
from mar_core.weights.inside import look_inside
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
_WIDTH = re.compile(r"[<>|=]?([biufcSVaU])(\d+)")


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
    width = _WIDTH.fullmatch(kind) if isinstance(kind, str) else None
    sizes = isinstance(shape, tuple) and all(type(n) is int and 0 <= n < 2**48 for n in shape)
    if width is None or not sizes or len(shape) > 64:  # noqa: PLR2004
        return None
    count: int = math.prod(shape)
    return begin + count * int(width[2]) * (4 if width[1] == "U" else 1)


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
