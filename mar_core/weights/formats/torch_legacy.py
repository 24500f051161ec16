"""``torch.save`` before 1.6: five pickles one behind the other, then the storages.

Before 0.2 it wrote a tar, which no safe loader reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.errors import ModelError
from mar_core.weights.listing import list_tensors, note_pickle
from mar_core.weights.pickles import PickleReport, walk_pickle
from mar_core.weights.state_dict import load_eager
from mar_core.weights.weights_format import Trust, WeightsFormat

if TYPE_CHECKING:
    from mar_core.weights.weights_format import WeightsFile, WeightsReport

__all__ = ["FORMAT", "TAR_FORMAT"]

_PROTO = 0x80  # the opcode that opens every pickle since protocol 2
# The file begins with this pickled number.
_MARK = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_PROTOCOL = 1001
_COUNT_BYTES = 8
_FIELDS = 6
_TAR_MEMBERS = {b"storages", b"tensors", b"pickle"}


def _identify(file: WeightsFile) -> bool:
    return file.head[:1] == bytes([_PROTO]) and file.head[2 : 2 + len(_MARK)] == _MARK


def _examine(file: WeightsFile, report: WeightsReport) -> None:
    try:
        root, keys, start = _walk_all(file, report)
        starts = _place_storages(file, root, (keys, start))
        list_tensors(root, starts, report)
    except ModelError as error:
        report.fault("MAR-W006", f"The file cannot be read: {error.message}.")


def _walk_all(file: WeightsFile, report: WeightsReport) -> tuple[PickleReport, list[str], int]:
    """The pickle of the weights, the keys of the storages behind it, and where those begin."""
    position = 0
    walked = []
    for number in range(5):
        found = walk_pickle(file.stream, start=position, budget=file.budget, storage_fields=_FIELDS)
        note_pickle(report, found, "its pickle", strict=True)
        if found.fault:
            raise ModelError(f"pickle {number + 1} of 5: {found.fault}")
        if found.unchecked:
            raise ModelError(f"pickle {number + 1} of 5 is too long")
        position = found.end
        walked.append(found)
    _, protocol, _, root, keys = walked
    if protocol.value != _PROTOCOL or type(keys.value) is not list:
        raise ModelError("it does not begin as torch writes it")
    if not all(type(key) is str for key in keys.value):
        raise ModelError("its storages have no proper names")
    return root, keys.value, position


def _place_storages(
    file: WeightsFile, root: PickleReport, behind: tuple[list[str], int]
) -> dict[str, int]:
    keys, position = behind
    if sorted(keys) != sorted(root.storages):
        raise ModelError("the storages that it has are not those that it needs")
    starts = {}
    for key in keys:
        storage = root.storages[key]
        file.stream.seek(position)
        numel = int.from_bytes(file.stream.read(_COUNT_BYTES), "little")
        if numel != storage.numel:
            raise ModelError(f"the storage {key!r} has {numel:,} elements, not {storage.numel:,}")
        starts[key] = position + _COUNT_BYTES
        position = starts[key] + storage.nbytes
        if position > file.size:
            raise ModelError(f"it is cut off inside the storage {key!r}")
    if position != file.size:
        raise ModelError(f"{file.size - position:,} bytes follow its end")
    return starts


def _is_tar(file: WeightsFile) -> bool:
    first_name = file.head[:100].split(b"\0", 1)[0].removeprefix(b"./")
    return file.head[257:262] == b"ustar" and first_name in _TAR_MEMBERS


def _examine_tar(_: WeightsFile, report: WeightsReport) -> None:
    report.fault("MAR-W009", "The file is in torch's tar format, which no safe loader reads.")


FORMAT = WeightsFormat(
    name="torch-legacy",
    title="what torch.save wrote before 1.6",
    trust=Trust.DATA,
    identify=_identify,
    examine=_examine,
    load=load_eager,
    written_by="`torch.save` before 1.6",
    loaded_by="copied into memory, `weights_only=True`",
    rank=0,
)
TAR_FORMAT = WeightsFormat(
    name="torch-tar",
    title="in the tar format of PyTorch before 0.2, which cannot be loaded safely",
    trust=Trust.PYTHON,
    identify=_is_tar,
    examine=_examine_tar,
    hint="Load it with the PyTorch that wrote it and save its state dict again.",
    rank=0,
)
