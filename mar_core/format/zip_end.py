"""The end of a zip: where its directory lies, and whether the file ends where it should."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mar_core.format.zip_records import (
    CENTRAL_SIGNATURE,
    END,
    END64,
    END64_SIGNATURE,
    END_SIGNATURE,
    LOCATOR,
    LOCATOR_SIGNATURE,
    MAX16,
    MAX32,
)
from mar_core.format.zip_rest import explain_missing_end

if TYPE_CHECKING:
    from mar_core.format.reader_file import ArchiveFile

__all__ = ["End", "find_end"]

MAX_COMMENT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What the end records say, once they are known to agree.

    Attributes:
        count: Entries in the directory.
        directory_offset: Where the directory begins.
        directory_size: Its length in bytes; it ends where the end records begin.
    """

    count: int
    directory_offset: int
    directory_size: int


def find_end(file: ArchiveFile) -> End:
    """Read the end records, zip64 ones included.

    Raises:
        ValidationError: They are missing, more than one, or not true.
    """
    start, fields = _end_record(file)
    _, disk, directory_disk, here, count, size, offset, _ = fields
    if disk not in {0, MAX16} or directory_disk not in {0, MAX16} or here != count:
        raise file.refuse("MAR-A103", "The end record speaks of several disks.")
    locator_at = start - LOCATOR.size
    locator = file.read_at(locator_at, LOCATOR.size) if locator_at >= 0 else b""
    if locator.startswith(LOCATOR_SIGNATURE):
        return _zip64_end(file, locator_at, locator, (count, size, offset))
    if count == MAX16 or MAX32 in {size, offset} or MAX16 in {disk, directory_disk}:
        raise file.refuse("MAR-A104", "The end record points to zip64 records that are missing.")
    end = End(count=count, directory_offset=offset, directory_size=size)
    return _placed(file, end, start)


def _end_record(file: ArchiveFile) -> tuple[int, tuple[int, ...]]:
    """The place and the fields of the one end record that fits the end of the file."""
    start = max(0, file.size - END.size - MAX16)
    tail = file.read_at(start, file.size - start)
    fitting = [
        place
        for place in _places(tail, END_SIGNATURE)
        if place + END.size <= len(tail)
        and place + END.size + END.unpack_from(tail, place)[-1] == len(tail)
    ]
    if not fitting:
        raise explain_missing_end(file)
    comment = tail[fitting[0] + END.size :]
    if len(fitting) > 1 or END_SIGNATURE in comment:
        raise file.refuse(
            "MAR-A101", "The file has two end records, so two readers see two archives."
        )
    if len(comment) > MAX_COMMENT:
        message = f"The comment is {len(comment):,} bytes; {MAX_COMMENT:,} are allowed."
        raise file.refuse("MAR-A102", message)
    return start + fitting[0], END.unpack_from(tail, fitting[0])


def _places(data: bytes, signature: bytes) -> list[int]:
    places, place = [], data.find(signature)
    while place != -1:
        places.append(place)
        place = data.find(signature, place + 1)
    return places


def _zip64_end(
    file: ArchiveFile, locator_at: int, locator: bytes, short: tuple[int, int, int]
) -> End:
    _, disk, offset, disks = LOCATOR.unpack(locator)
    start = locator_at - END64.size
    record = file.read_at(start, END64.size) if start >= 0 else b""
    if disk != 0 or disks > 1 or offset != start or not record.startswith(END64_SIGNATURE):
        raise file.refuse("MAR-A104", "The zip64 locator does not point to the record before it.")
    fields = END64.unpack(record)
    length, (disk, directory_disk, here, count, size, offset) = fields[1], fields[4:]
    if length != END64.size - 12:
        raise file.refuse("MAR-A104", "The zip64 end record has an extension or a wrong length.")
    if disk or directory_disk or here != count:
        raise file.refuse("MAR-A104", "The zip64 end record speaks of several disks.")
    for value, true, unknown in zip(
        short, (count, size, offset), (MAX16, MAX32, MAX32), strict=True
    ):
        if value not in {true, unknown}:
            raise file.refuse("MAR-A104", "The zip64 end record and the short one disagree.")
    end = End(count=count, directory_offset=offset, directory_size=size)
    return _placed(file, end, start)


def _placed(file: ArchiveFile, end: End, records_at: int) -> End:
    """The end, once the directory is known to lie directly before the end records."""
    surplus = records_at - end.directory_offset - end.directory_size
    if surplus == 0:
        return end
    begin = records_at - end.directory_size
    if surplus > 0 and file.read_at(begin, 4) == CENTRAL_SIGNATURE:
        raise file.refuse("MAR-A006", f"{surplus:,} bytes stand before the archive.")
    raise file.refuse("MAR-A103", "The end record does not say where the directory lies.")
