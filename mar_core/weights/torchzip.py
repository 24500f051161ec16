"""``torch.save`` files and TorchScript: a zip with a pickle and one record for each storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from mar_core.errors import ModelError
from mar_core.weights.allowed import ALLOWED, ELEMENT_BYTES
from mar_core.weights.kinds import WeightsKind
from mar_core.weights.pickles import MAX_OPCODES, MAX_PICKLE, PickleReport, walk_pickle
from mar_core.weights.report import TensorInfo, WeightsReport
from mar_core.weights.tensors import find_tensors
from mar_core.weights.zipindex import ZipEntry, check_layout, data_start, read_directory, read_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mar_core.weights.tensors import FoundTensor

__all__ = ["examine_torch_zip", "list_tensors", "note_pickle", "sentence"]

_SCRIPT_NAMES = ("__torch__.", "torch.jit._pickle.")
_NO_DATA = "meta"
# Where the storages of a pickle lie; TorchScript's other pickles may promise some that it drops.
_FOLDERS = {"data.pkl": "data/", "constants.pkl": "constants/"}


def examine_torch_zip(stream: BinaryIO, kind: WeightsKind) -> WeightsReport:
    """Look at a ``torch.save`` zip or a TorchScript file.

    Args:
        stream: The file, seekable.
        kind: ``TORCH`` or ``TORCHSCRIPT``.
    """
    report = WeightsReport(kind=kind)
    try:
        entries = read_directory(stream)
        check_layout(stream, entries)
    except ModelError as error:
        report.fault("MAR-W008", f"The file is no exact zip: {error}.")
        return report
    prefix = entries[0].name.partition("/")[0] + "/"
    records = {entry.name.removeprefix(prefix): entry for entry in entries}
    foreign = next((entry.name for entry in entries if not entry.name.startswith(prefix)), None)
    if foreign is not None:
        report.fault("MAR-W008", f"Its record {foreign!r} lies outside the folder {prefix!r}.")
    for name in _pickle_names(kind, records):
        _examine_pickle(stream, name, records, report)
    return report


def note_pickle(report: WeightsReport, walked: PickleReport, what: str, *, strict: bool) -> None:
    """Turn the walk over a pickle into faults.

    Args:
        report: Where they go.
        walked: The walk.
        what: What the sentence calls the pickle.
        strict: Whether torch's own unpickler will read it, which knows few opcodes.
    """
    if walked.forbidden:
        report.pickled_code.extend(walked.forbidden)
        names = ", ".join(walked.forbidden)
        report.fault("MAR-W003", f"Loading {what} imports or calls {names}.")
    if walked.unchecked:
        report.fault("MAR-W005", sentence(f"{what} has more than {MAX_OPCODES:,} opcodes"))
    if walked.fault:
        report.fault("MAR-W006", sentence(f"{what} cannot be read: {walked.fault}"))
    if strict and walked.unsupported:
        names = ", ".join(walked.unsupported)
        report.fault("MAR-W004", f"A weights_only load of {what} does not know {names}.")


def list_tensors(
    walked: PickleReport, starts: Mapping[str, int | None], report: WeightsReport
) -> None:
    """Put the tensors of a walked pickle into the report.

    Args:
        walked: The walk.
        starts: Where each storage begins in the file, by key.
        report: Where they go; a tensor that reaches beyond its storage is a fault.
    """
    try:
        for found in find_tensors(walked.value):
            info = _info(found, starts.get(found.storage.key))
            if info.overruns:
                report.fault("MAR-W007", f"Its tensor {found.name!r} reaches beyond its storage.")
            report.tensors.append(info)
    except ValueError as error:
        report.fault("MAR-W007", sentence(error))
    else:
        report.listed = not walked.fault and not walked.unchecked


def sentence(words: object) -> str:
    """The words as a sentence."""
    text = str(words)
    return f"{text[:1].upper()}{text[1:]}."


def _info(found: FoundTensor, start: int | None) -> TensorInfo:
    return TensorInfo(
        name=found.name,
        dtype=found.dtype,
        shape=found.shape,
        strides=found.strides,
        start=start,
        storage_bytes=found.storage.numel * ELEMENT_BYTES[found.storage.dtype],
        offset=found.offset,
        storage=found.storage.key,
    )


def _pickle_names(kind: WeightsKind, records: Iterable[str]) -> list[str]:
    if kind is WeightsKind.TORCH:
        return ["data.pkl"]
    return [name for name in records if name.endswith(".pkl")]


def _examine_pickle(
    stream: BinaryIO, name: str, records: dict[str, ZipEntry], report: WeightsReport
) -> None:
    script = report.kind is WeightsKind.TORCHSCRIPT
    what = f"its {name}"
    if records[name].size > MAX_PICKLE:
        report.fault("MAR-W005", f"Its {name} is {records[name].size:,} bytes long.")
        return
    try:
        data = read_entry(stream, records[name], limit=MAX_PICKLE)
    except ModelError as error:
        report.fault("MAR-W008", f"The file is no exact zip: {error}.")
        return
    walked = walk_pickle(data, also=_of_script if script else _nothing)
    note_pickle(report, walked, what, strict=not script)
    if not walked.fault and walked.end != len(data):
        report.fault("MAR-W006", f"Its {name} goes on behind its end.")
    if name in _FOLDERS:
        starts = _check_storages(stream, walked, _FOLDERS[name], records, report)
        if name == "data.pkl":
            list_tensors(walked, starts, report)


def _of_script(name: str) -> bool:
    return name.startswith(_SCRIPT_NAMES) or name in ALLOWED


def _nothing(_: str) -> bool:
    return False


def _check_storages(
    stream: BinaryIO,
    walked: PickleReport,
    folder: str,
    records: dict[str, ZipEntry],
    report: WeightsReport,
) -> dict[str, int | None]:
    """Where each storage begins; one that is missing or has another size is a fault."""
    starts: dict[str, int | None] = {}
    little = _is_little(stream, records)
    for storage in walked.storages.values():
        record = records.get(f"{folder}{storage.key}")
        size = storage.numel * ELEMENT_BYTES[storage.dtype]
        if storage.location == _NO_DATA:
            continue
        if record is None:
            report.fault("MAR-W007", f"Its storage {storage.key!r} is missing.")
        elif record.size != size:
            report.fault(
                "MAR-W007",
                f"Its storage {storage.key!r} is {record.size:,} bytes long; its pickle promises "
                f"{size:,}.",
            )
        else:
            in_place = record.stored and little
            starts[storage.key] = data_start(stream, record) if in_place else None
    return starts


def _is_little(stream: BinaryIO, records: dict[str, ZipEntry]) -> bool:
    if "byteorder" not in records:
        return True
    try:
        return read_entry(stream, records["byteorder"], limit=16) == b"little"
    except ModelError:
        return False
