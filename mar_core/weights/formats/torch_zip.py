"""``torch.save`` since 1.6: a zip with one pickle and a record for each storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.errors import ModelError
from mar_core.weights.listing import list_tensors, note_pickle
from mar_core.weights.pickles import PickleReport, walk_pickle
from mar_core.weights.state_dict import load_eager
from mar_core.weights.weights_format import Trust, WeightsFormat
from mar_core.weights.zipindex import check_crc, check_layout, data_start, read_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.weights.weights_format import WeightsFile, WeightsReport

__all__ = ["FORMAT", "check_records", "check_storages", "walk_record"]

_NO_DATA = "meta"
_PICKLE = "data.pkl"
_TINY = 16


def _identify(file: WeightsFile) -> bool:
    return _PICKLE in file.records


def _examine(file: WeightsFile, report: WeightsReport) -> None:
    if not check_records(file, report):
        return
    walked = walk_record(file, _PICKLE, report, strict=True)
    if walked is not None:
        list_tensors(walked, check_storages(file, walked, "data/", report), report)


def check_records(file: WeightsFile, report: WeightsReport) -> bool:
    """Check that the records are where PyTorch's reader and every other see them alike.

    Args:
        file: The zip.
        report: Where faults go.

    Returns:
        Whether its records can be read.
    """
    try:
        check_layout(file.stream, file.entries)
    except ModelError as error:
        report.fault("MAR-W008", f"The file is no exact zip: {error}.")
        return False
    odd = next((name for entry in file.entries if not _is_plain(name := entry.name)), None)
    if odd is not None:
        report.fault("MAR-W008", f"Its record {odd!r} has a name that leads out of it.")
    foreign = next((e.name for e in file.entries if not e.name.startswith(file.prefix)), None)
    if foreign is not None:
        report.fault("MAR-W008", f"Its record {foreign!r} lies outside the folder {file.prefix!r}.")
    return True


def _is_plain(name: str) -> bool:
    """Whether the name stays below the folder of the zip; PyTorch joins it to paths."""
    parts = name.split("/")
    return not ({"", ".", ".."} & set(parts) or "\\" in name or ":" in parts[0])


def walk_record(
    file: WeightsFile,
    name: str,
    report: WeightsReport,
    *,
    strict: bool,
    also: Callable[[str], bool] = lambda _: False,
) -> PickleReport | None:
    """Walk the pickle in a record, and tell what it would do.

    Args:
        file: The zip.
        name: The record, in lower case and without the folder.
        report: Where faults go.
        strict: Whether torch's own unpickler will read it.
        also: Names that it may import beside torch's own.

    Returns:
        The walk; None where the record cannot be read.
    """
    entry = file.records[name]
    try:
        with file.record(entry) as stream:
            walked = walk_pickle(stream, budget=file.budget, also=also)
            check_crc(stream, entry, file.budget)
    except ModelError as error:
        report.fault("MAR-W008", f"The file is no exact zip: {error}.")
        return None
    note_pickle(report, walked, f"its {name}", strict=strict)
    if not (walked.fault or walked.unchecked) and walked.end != entry.size:
        report.fault("MAR-W006", f"Its {name} goes on behind its end.")
    return walked


def check_storages(
    file: WeightsFile, walked: PickleReport, folder: str, report: WeightsReport
) -> dict[str, int | None]:
    """Where each storage begins; one that is missing or has another size is a fault.

    Args:
        file: The zip.
        walked: The walk over its pickle.
        folder: Where the storages lie.
        report: Where faults go.
    """
    starts: dict[str, int | None] = {}
    little = _is_little(file)
    for storage in walked.storages.values():
        record = file.records.get(f"{folder}{storage.key}".lower())
        if storage.location == _NO_DATA:
            continue
        if record is None:
            report.fault("MAR-W007", f"Its storage {storage.key!r} is missing.")
        elif record.size != storage.nbytes:
            report.fault(
                "MAR-W007",
                f"Its storage {storage.key!r} is {record.size:,} bytes long; its pickle promises "
                f"{storage.nbytes:,}.",
            )
        else:
            placed = record.stored and little
            starts[storage.key] = data_start(file.stream, record) if placed else None
    return starts


def _is_little(file: WeightsFile) -> bool:
    if "byteorder" not in file.records:
        return True
    try:
        return read_entry(file.stream, file.records["byteorder"], limit=_TINY) == b"little"
    except ModelError:
        return False


FORMAT = WeightsFormat(
    name="torch",
    title="what torch.save writes",
    trust=Trust.DATA,
    identify=_identify,
    examine=_examine,
    load=load_eager,
    in_place=True,
    written_by="`torch.save(model.state_dict(), …)`",
    loaded_by="mapped where it lies in the archive, `weights_only=True`; a whole pickled module "
    "is Python",
    rank=5,
)
