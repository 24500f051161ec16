"""The walk over a zip from front to back: every byte must belong to what the directory lists.

TorchServe's Java reader goes by the headers before the members, Python's by the directory at the
end. An archive whose two views differ, or that has room for a third, is refused: what is checked
here is then what every reader runs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mar_core.format.zip_directory import checked_extra, read_directory
from mar_core.format.zip_end import find_end
from mar_core.format.zip_records import (
    DEFLATED,
    DESCRIPTOR_SIGNATURE,
    HAS_DESCRIPTOR,
    LOCAL,
    LOCAL_SIGNATURE,
    MAX32,
    STORED,
    Entry,
    LocalHeader,
    zip64_values,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.findings import ValidationError
    from mar_core.format.limits import Limits
    from mar_core.format.reader_file import ArchiveFile

__all__ = ["Placed", "walk"]

_BOTH_SIZES = 16  # a local zip64 field must hold them
_USUAL_EXTRA = 4200  # one read fetches the header and the padding that aligns the data to a page


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry, and where its data begins.

    Attributes:
        entry: The directory's entry, which the local header agrees with.
        data_offset: Where the data begins in the file.
    """

    entry: Entry
    data_offset: int


def walk(file: ArchiveFile, limits: Limits) -> list[Placed]:
    """The entries in the order of the file.

    Raises:
        ValidationError: The structure is not sound.
    """
    end = find_end(file)
    many = limits.too_many(end.count)
    if many is not None:
        raise file.refuse(many.code, many.message)
    entries = read_directory(file, end)
    if not entries:
        raise file.refuse("MAR-A008", "The archive is empty.")
    return list(_tiled(file, entries, end.directory_offset))


def _tiled(file: ArchiveFile, entries: list[Entry], directory: int) -> Iterator[Placed]:
    entries = sorted(entries, key=lambda entry: entry.offset)
    if entries[0].offset > 0:
        message = f"{entries[0].offset:,} bytes stand before the first member."
        raise file.refuse("MAR-A006", message)
    position = 0
    ends = [*(entry.offset for entry in entries[1:]), directory]
    for entry, end in zip(entries, ends, strict=True):
        if entry.offset != position:
            raise _misplaced(file, entry, position)
        data = _check_local(file, entry)
        position = data + entry.compressed_size
        if position > end:
            message = "The member's data overlaps with what comes after it."
            raise file.refuse("MAR-A111", message, member=entry.name)
        if entry.flags & HAS_DESCRIPTOR:
            position = _check_descriptor(file, entry, position, end)
        yield Placed(entry, data)
    if position != directory:
        raise _gap(file, position, directory)


def _misplaced(file: ArchiveFile, entry: Entry, position: int) -> ValidationError:
    if entry.offset > position:
        return _gap(file, position, entry.offset)
    return file.refuse("MAR-A111", "The member begins inside another one.", member=entry.name)


def _gap(file: ArchiveFile, start: int, end: int) -> ValidationError:
    hidden = file.read_at(start, 4) == LOCAL_SIGNATURE
    what = ", beginning with a member that the directory hides" if hidden else ""
    message = f"{end - start:,} bytes at byte {start:,} belong to no member{what}."
    return file.refuse("MAR-A110", message)


def _check_local(file: ArchiveFile, entry: Entry) -> int:
    """Compare the header before the data with the directory; returns where the data begins."""
    raw = file.read_at(entry.offset, LOCAL.size + len(entry.raw_name) + _USUAL_EXTRA)
    if len(raw) < LOCAL.size or not raw.startswith(LOCAL_SIGNATURE):
        message = "The directory points to a place where no member begins."
        raise file.refuse("MAR-A112", message, member=entry.name)
    header = LocalHeader(*LOCAL.unpack_from(raw))
    name_end = LOCAL.size + header.name_length
    length = name_end + header.extra_length
    if length > len(raw):
        raw = file.read_at(entry.offset, length)
    if raw[LOCAL.size : name_end] != entry.raw_name:
        shown = raw[LOCAL.size : name_end].decode("utf-8", "backslashreplace")
        message = f"The directory calls the member so, its own header {shown!r}."
        raise file.refuse("MAR-A112", message, member=entry.name)
    if (header.flags, header.method) != (entry.flags, entry.method):
        message = "The member's own header and the directory differ in method or flags."
        raise file.refuse("MAR-A112", message, member=entry.name)
    zip64 = checked_extra(file, entry.name, raw[name_end:length])
    _check_sizes(file, entry, header, zip64)
    return entry.offset + length


def _check_sizes(file: ArchiveFile, entry: Entry, header: LocalHeader, zip64: bytes | None) -> None:
    if entry.method == STORED and entry.size != entry.compressed_size:
        message = "The member is stored as it is, but has two different sizes."
        raise file.refuse("MAR-A131", message, member=entry.name)
    found = (header.crc, *_local_sizes(file, entry, header, zip64))
    true = (entry.crc, entry.size, entry.compressed_size)
    streamed = bool(entry.flags & HAS_DESCRIPTOR)  # what was not known yet is zero
    pairs = zip(found, true, strict=True)
    if any(one != other and not (streamed and one == 0) for one, other in pairs):
        message = "The member's own header and the directory differ in size or CRC-32."
        raise file.refuse("MAR-A112", message, member=entry.name)


def _local_sizes(
    file: ArchiveFile, entry: Entry, header: LocalHeader, zip64: bytes | None
) -> tuple[int, int]:
    short = header.size, header.compressed_size
    if zip64 is None:
        return short
    if len(zip64) != _BOTH_SIZES:
        raise file.refuse(
            "MAR-A104", "The member's zip64 field has a wrong length.", member=entry.name
        )
    size, compressed_size = zip64_values(zip64)
    if short[0] not in {size, MAX32} or short[1] not in {compressed_size, MAX32}:
        raise file.refuse("MAR-A104", "The member's zip64 field disagrees.", member=entry.name)
    return size, compressed_size


def _check_descriptor(file: ArchiveFile, entry: Entry, start: int, end: int) -> int:
    """Compare the record behind the data with the directory; returns where it ends."""
    if entry.method != DEFLATED:
        message = "A stored member has a data descriptor, so readers cannot know where it ends."
        raise file.refuse("MAR-A113", message, member=entry.name)
    large = max(entry.size, entry.compressed_size) > MAX32
    sizes = struct.pack("<2Q" if large else "<2L", entry.compressed_size, entry.size)
    true = struct.pack("<L", entry.crc) + sizes
    raw = file.read_at(start, min(end - start, 24))
    for candidate in (DESCRIPTOR_SIGNATURE + true, true):
        if raw.startswith(candidate):
            return start + len(candidate)
    message = "The data descriptor behind the member differs from the directory."
    raise file.refuse("MAR-A113", message, member=entry.name)
