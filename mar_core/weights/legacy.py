"""``torch.save`` before 1.6: five pickles one behind the other, then the storages."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from mar_core.errors import ModelError
from mar_core.weights.allowed import ELEMENT_BYTES
from mar_core.weights.kinds import WeightsKind
from mar_core.weights.pickles import MAX_PICKLE, PickleReport, walk_pickle
from mar_core.weights.report import WeightsReport
from mar_core.weights.torchzip import list_tensors, note_pickle

if TYPE_CHECKING:
    from mar_core.weights.symbols import Storage

__all__ = ["examine_legacy"]

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_COUNT_BYTES = 8


def examine_legacy(stream: BinaryIO) -> WeightsReport:
    """Look at a file that ``torch.save`` wrote before 1.6.

    Args:
        stream: The file, seekable.
    """
    report = WeightsReport(kind=WeightsKind.TORCH_LEGACY)
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    head = stream.read(MAX_PICKLE)
    try:
        root, keys, start = _walk_all(head, report)
        starts = _place_storages(stream, size, root, (keys, start))
        list_tensors(root, starts, report)
    except ModelError as error:
        report.fault("MAR-W006", f"The file cannot be read: {error}.")
    return report


def _walk_all(head: bytes, report: WeightsReport) -> tuple[PickleReport, list[str], int]:
    """The pickle of the weights, the keys of the storages behind it, and where those begin."""
    position = 0
    walked = []
    for number in range(5):
        found = walk_pickle(head, start=position)
        note_pickle(report, found, "its pickle", strict=True)
        if found.fault:
            raise ModelError(f"pickle {number + 1} of 5: {found.fault}")
        position = found.end
        walked.append(found)
    magic, protocol, _, root, keys = walked
    if magic.value != _MAGIC or protocol.value != _PROTOCOL or not isinstance(keys.value, list):
        raise ModelError("it does not begin as torch writes it")
    return root, [str(key) for key in keys.value], position


def _place_storages(
    stream: BinaryIO, size: int, root: PickleReport, behind: tuple[list[str], int]
) -> dict[str, int]:
    keys, position = behind
    if sorted(keys) != sorted(root.storages):
        raise ModelError("the storages that it has are not those that it needs")
    starts = {}
    for key in keys:
        storage = root.storages[key]
        stream.seek(position)
        numel = int.from_bytes(stream.read(_COUNT_BYTES), "little")
        if numel != storage.numel:
            raise ModelError(f"the storage {key!r} has {numel:,} elements, not {storage.numel:,}")
        starts[key] = position + _COUNT_BYTES
        position = starts[key] + _length(storage)
        if position > size:
            raise ModelError(f"it is cut off inside the storage {key!r}")
    if position != size:
        raise ModelError(f"{size - position:,} bytes follow its end")
    return starts


def _length(storage: Storage) -> int:
    return storage.numel * ELEMENT_BYTES[storage.dtype]
