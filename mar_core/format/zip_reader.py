"""The structure of a zip, taken apart strictly: a ``.mar``, or the zip that PyTorch's weights are.

Java reads a zip from the front, by the headers before each member; Python and PyTorch read the
directory at the end. A zip whose two views differ, or that has room for a third, is refused: what
is checked here is then what every reader sees.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mar_core.format.limits import spend
from mar_core.format.zip_records import (
    CENTRAL,
    CENTRAL_SIGNATURE,
    DEFLATED,
    DESCRIPTOR_SIGNATURE,
    END,
    END64,
    END64_SIGNATURE,
    END_SIGNATURE,
    EXTRA_AES,
    EXTRA_ASI_UNIX,
    EXTRA_STRONG_ENCRYPTION,
    EXTRA_UNICODE_PATH,
    EXTRA_ZIP64,
    HAS_DESCRIPTOR,
    LOCAL,
    LOCAL_SIGNATURE,
    LOCATOR,
    LOCATOR_SIGNATURE,
    MAX16,
    MAX32,
    STORED,
    UTF8_NAME,
    Entry,
    LocalHeader,
    explain_missing_end,
    extra_fields,
    zip64_values,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.format.limits import Limits
    from mar_core.format.zip_records import ZipSource

__all__ = ["Placed", "ZipParser"]

MAX_DIRECTORY = 64 << 20
MAX_COMMENT = 1024
NEWEST_VERSION = 45  # 4.5: zip64
_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13
_LEVEL = 1 << 1 | 1 << 2
_KNOWN_FLAGS = _LEVEL | HAS_DESCRIPTOR | UTF8_NAME
_METHODS = {
    1: "shrink", 6: "implode", 9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "zstd", 95: "xz",
}  # fmt: skip
_BOTH_SIZES = 16  # a local zip64 field must hold them
_USUAL_EXTRA = 4200  # one read fetches the header and the padding that aligns the data to a page
_MAX_DESCRIPTOR = 24


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry, and where its data begins.

    Attributes:
        entry: The directory's entry, which the local header agrees with.
        data_offset: Where the data begins in the file.
    """

    entry: Entry
    data_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """What the end records say, once they are known to agree.

    Attributes:
        count: Entries in the directory.
        directory_offset: Where the directory begins.
        directory_size: Its length in bytes; it ends where the end records begin.
    """

    count: int
    directory_offset: int
    directory_size: int


class ZipParser:
    """Reads the structure of one zip.

    Args:
        source: Its bytes.
        limits: How many entries it may have.
        by_torch: Whether PyTorch wrote it: its members are stored with a data descriptor, its
            local headers need not know the sizes, and nothing may follow it, no comment either.
    """

    def __init__(self, source: ZipSource, limits: Limits, *, by_torch: bool = False) -> None:
        self._source, self._limits, self._by_torch = source, limits, by_torch

    def entries(self) -> list[Entry]:
        """The entries in the directory's order, each sound on its own.

        Raises:
            Exception: What ``source.refuse`` makes of the first fault.
        """
        return self._directory(self._find_end())

    def walk(self) -> list[Placed]:
        """The entries in the order of the file, which they fill without a gap.

        Raises:
            Exception: What ``source.refuse`` makes of the first fault.
        """
        end = self._find_end()
        entries = self._directory(end)
        if not entries:
            raise self._source.refuse("MAR-A008", "The archive is empty.")
        return list(self._tiled(entries, end.directory_offset))

    def data_start(self, entry: Entry) -> int:
        """Where the bytes of one entry begin, whose own header agrees with the directory.

        Raises:
            Exception: What ``source.refuse`` makes of the first fault.
        """
        return self._check_local(entry)

    def _find_end(self) -> _End:
        """The end records, zip64 ones included, known to agree and to lie behind the directory."""
        start, fields = self._end_record()
        _, disk, directory_disk, here, count, size, offset, _ = fields
        if disk not in {0, MAX16} or directory_disk not in {0, MAX16} or here != count:
            raise self._source.refuse("MAR-A103", "The end record speaks of several disks.")
        locator_at = start - LOCATOR.size
        locator = self._source.read_at(locator_at, LOCATOR.size) if locator_at >= 0 else b""
        if locator.startswith(LOCATOR_SIGNATURE):
            return self._zip64_end(locator_at, locator, (count, size, offset))
        if count == MAX16 or MAX32 in {size, offset} or MAX16 in {disk, directory_disk}:
            message = "The end record points to zip64 records that are missing."
            raise self._source.refuse("MAR-A104", message)
        return self._before(_End(count=count, directory_offset=offset, directory_size=size), start)

    def _end_record(self) -> tuple[int, tuple[int, ...]]:
        """The place and the fields of the one end record that fits the end of the file."""
        longest = 0 if self._by_torch else MAX16
        start = max(0, self._source.size - END.size - longest)
        tail = self._source.read_at(start, self._source.size - start)
        fitting = [
            place
            for place in _places(tail, END_SIGNATURE)
            if place + END.size <= len(tail)
            and place + END.size + END.unpack_from(tail, place)[-1] == len(tail)
        ]
        if not fitting:
            raise explain_missing_end(self._source)
        comment = tail[fitting[0] + END.size :]
        if len(fitting) > 1 or END_SIGNATURE in comment:
            message = "The file has two end records, so two readers see two archives."
            raise self._source.refuse("MAR-A101", message)
        if len(comment) > MAX_COMMENT:
            message = f"The comment is {len(comment):,} bytes; {MAX_COMMENT:,} are allowed."
            raise self._source.refuse("MAR-A102", message)
        return start + fitting[0], END.unpack_from(tail, fitting[0])

    def _zip64_end(self, locator_at: int, locator: bytes, short: tuple[int, int, int]) -> _End:
        _, disk, offset, disks = LOCATOR.unpack(locator)
        start = locator_at - END64.size
        record = self._source.read_at(start, END64.size) if start >= 0 else b""
        if disk != 0 or disks > 1 or offset != start or not record.startswith(END64_SIGNATURE):
            message = "The zip64 locator does not point to the record before it."
            raise self._source.refuse("MAR-A104", message)
        fields = END64.unpack(record)
        length, (disk, directory_disk, here, count, size, offset) = fields[1], fields[4:]
        if length != END64.size - 12:
            message = "The zip64 end record has an extension or a wrong length."
            raise self._source.refuse("MAR-A104", message)
        if disk or directory_disk or here != count:
            raise self._source.refuse("MAR-A104", "The zip64 end record speaks of several disks.")
        unknown = (MAX16, MAX32, MAX32)
        for value, true, full in zip(short, (count, size, offset), unknown, strict=True):
            if value not in {true, full}:
                message = "The zip64 end record and the short one disagree."
                raise self._source.refuse("MAR-A104", message)
        return self._before(_End(count=count, directory_offset=offset, directory_size=size), start)

    def _before(self, end: _End, records_at: int) -> _End:
        """The end, once the directory is known to lie directly before the end records."""
        surplus = records_at - end.directory_offset - end.directory_size
        if surplus == 0:
            return end
        begin = records_at - end.directory_size
        if surplus > 0 and self._source.read_at(begin, 4) == CENTRAL_SIGNATURE:
            raise self._source.refuse("MAR-A006", f"{surplus:,} bytes stand before the archive.")
        message = "The end record does not say where the directory lies."
        raise self._source.refuse("MAR-A103", message)

    def _directory(self, end: _End) -> list[Entry]:
        many = self._limits.too_many(end.count)
        if many is not None:
            raise self._source.refuse(many.code, many.message)
        if end.directory_size > MAX_DIRECTORY:
            message = f"The directory alone takes {end.directory_size:,} bytes."
            raise self._source.refuse("MAR-A105", message)
        raw = self._source.read_at(end.directory_offset, end.directory_size)
        entries = []
        for entry in self._parsed(raw):
            entries.append(entry)
            if len(entries) > end.count:
                break
        if len(entries) != end.count:
            more = "more" if len(entries) > end.count else f"{len(entries):,}"
            message = f"The end record counts {end.count:,} members; the directory has {more}."
            raise self._source.refuse("MAR-A103", message)
        return entries

    def _parsed(self, raw: bytes) -> Iterator[Entry]:
        position = 0
        while position < len(raw):
            spend()
            if not raw.startswith(CENTRAL_SIGNATURE, position) or (
                len(raw) < position + CENTRAL.size
            ):
                message = "The directory holds something that is no entry."
                raise self._source.refuse("MAR-A105", message)
            fields = CENTRAL.unpack_from(raw, position)
            start = position + CENTRAL.size
            name_end = start + fields[10]
            extra_end = name_end + fields[11]
            position = extra_end + fields[12]
            if position > len(raw):
                message = "An entry of the directory is cut off."
                raise self._source.refuse("MAR-A105", message)
            parts = raw[start:name_end], raw[name_end:extra_end], raw[extra_end:position]
            yield self._entry(fields, parts)

    def _entry(self, fields: tuple[int, ...], parts: tuple[bytes, bytes, bytes]) -> Entry:
        (_, _, version, flags, method, _, _, crc, packed, size, _, _, _, disk, _, attributes,
         offset) = fields  # fmt: skip
        raw_name, extra, comment = parts
        name = self._name(raw_name)
        self._check_features(name, version=version, flags=flags, method=method)
        if len(comment) > MAX_COMMENT or END_SIGNATURE in comment:
            message = "The member's comment is too long or not plain."
            raise self._source.refuse("MAR-A102", message, member=name)
        if disk != 0:
            message = "The entry points to another disk."
            raise self._source.refuse("MAR-A105", message, member=name)
        zip64 = self._checked_extra(name, extra)
        size, packed, offset = self._resolved(name, [size, packed, offset], zip64)
        return Entry(
            name=name,
            raw_name=raw_name,
            flags=flags,
            method=method,
            crc=crc,
            compressed_size=packed,
            size=size,
            offset=offset,
            mode=attributes >> 16,
        )

    def _name(self, raw: bytes) -> str:
        if not raw:
            raise self._source.refuse("MAR-A105", "An entry of the directory has no name.")
        try:
            return raw.decode("utf-8")  # as Java does, whether it is marked or not
        except UnicodeDecodeError:
            shown = raw.decode("utf-8", "backslashreplace")
            raise self._source.refuse("MAR-A118", "The name is not UTF-8.", member=shown) from None

    def _check_features(self, name: str, *, version: int, flags: int, method: int) -> None:
        if flags & _ENCRYPTED:
            raise self._source.refuse("MAR-A114", "The member is encrypted.", member=name)
        if flags & ~_KNOWN_FLAGS:
            message = f"The member has flags that TorchServe does not know (0x{flags:04x})."
            raise self._source.refuse("MAR-A116", message, member=name)
        if method not in {STORED, DEFLATED}:
            called = _METHODS.get(method, f"number {method}")
            message = f"The member is compressed by {called}, not stored or deflated."
            raise self._source.refuse("MAR-A115", message, member=name)
        if version & 0xFF > NEWEST_VERSION:
            message = f"The member asks for a zip reader of version {(version & 0xFF) / 10}."
            raise self._source.refuse("MAR-A116", message, member=name)

    def _checked_extra(self, name: str, extra: bytes) -> bytes | None:
        """The zip64 field among the extra fields, once all of them are known to be harmless."""
        if not extra:
            return None
        try:
            fields = extra_fields(extra)
        except ValueError as error:
            message = f"The extra fields are damaged: {error}."
            raise self._source.refuse("MAR-A117", message, member=name) from error
        zip64 = [data for kind, data in fields if kind == EXTRA_ZIP64]
        if len(zip64) > 1:
            message = "The member has two zip64 fields."
            raise self._source.refuse("MAR-A104", message, member=name)
        kinds = {kind for kind, _ in fields}
        if EXTRA_UNICODE_PATH in kinds:
            message = "An extra field gives the member another name."
            raise self._source.refuse("MAR-A117", message, member=name)
        if kinds & {EXTRA_AES, EXTRA_STRONG_ENCRYPTION}:
            raise self._source.refuse("MAR-A114", "The member is encrypted.", member=name)
        if EXTRA_ASI_UNIX in kinds:
            message = "An extra field can make the member a link."
            raise self._source.refuse("MAR-A120", message, member=name)
        return zip64[0] if zip64 else None

    def _resolved(self, name: str, short: list[int], zip64: bytes | None) -> tuple[int, int, int]:
        """Size, compressed size and offset; the zip64 field's values where those are asked for."""
        unknown = [place for place, value in enumerate(short) if value == MAX32]
        if zip64 is None:
            if unknown:
                message = "The member's zip64 field is missing."
                raise self._source.refuse("MAR-A104", message, member=name)
            return short[0], short[1], short[2]
        # Some writers add the field with all values although none is asked for.
        wanted = unknown or list(range(len(zip64) // 8))
        values = zip64_values(zip64)
        if len(zip64) != 8 * len(wanted) or len(wanted) > len(short):
            message = "The member's zip64 field has a wrong length."
            raise self._source.refuse("MAR-A104", message, member=name)
        for place, value in zip(wanted, values, strict=True):
            if short[place] not in {value, MAX32}:
                message = "The member's zip64 field disagrees."
                raise self._source.refuse("MAR-A104", message, member=name)
            short[place] = value
        return short[0], short[1], short[2]

    def _tiled(self, entries: list[Entry], directory: int) -> Iterator[Placed]:
        entries = sorted(entries, key=lambda entry: entry.offset)
        if entries[0].offset > 0:
            message = f"{entries[0].offset:,} bytes stand before the first member."
            raise self._source.refuse("MAR-A006", message)
        position = 0
        ends = [*(entry.offset for entry in entries[1:]), directory]
        for entry, end in zip(entries, ends, strict=True):
            spend()
            if entry.offset != position:
                raise self._misplaced(entry, position)
            data = self._check_local(entry)
            position = data + entry.compressed_size
            if position > end:
                message = "The member's data overlaps with what comes after it."
                raise self._source.refuse("MAR-A111", message, member=entry.name)
            position = self._behind(entry, position, end)
            yield Placed(entry, data)
        if position != directory:
            raise self._gap(position, directory)

    def _misplaced(self, entry: Entry, position: int) -> Exception:
        if entry.offset > position:
            return self._gap(position, entry.offset)
        message = "The member begins inside another one."
        return self._source.refuse("MAR-A111", message, member=entry.name)

    def _gap(self, start: int, end: int) -> Exception:
        hidden = self._source.read_at(start, 4) == LOCAL_SIGNATURE
        what = ", beginning with a member that the directory hides" if hidden else ""
        message = f"{end - start:,} bytes at byte {start:,} belong to no member{what}."
        return self._source.refuse("MAR-A110", message)

    def _check_local(self, entry: Entry) -> int:
        """Compare the header before the data with the directory; returns where the data begins."""
        usual = LOCAL.size + len(entry.raw_name) + (64 if self._by_torch else _USUAL_EXTRA)
        raw = self._source.read_at(entry.offset, usual)
        if len(raw) < LOCAL.size or not raw.startswith(LOCAL_SIGNATURE):
            message = "The directory points to a place where no member begins."
            raise self._source.refuse("MAR-A112", message, member=entry.name)
        header = LocalHeader(*LOCAL.unpack_from(raw))
        name_end = LOCAL.size + header.name_length
        length = name_end + header.extra_length
        if length > len(raw):
            raw = self._source.read_at(entry.offset, length)
        if raw[LOCAL.size : name_end] != entry.raw_name:
            shown = raw[LOCAL.size : name_end].decode("utf-8", "backslashreplace")
            message = f"The directory calls the member so, its own header {shown!r}."
            raise self._source.refuse("MAR-A112", message, member=entry.name)
        if (header.flags, header.method) != (entry.flags, entry.method):
            message = "The member's own header and the directory differ in method or flags."
            raise self._source.refuse("MAR-A112", message, member=entry.name)
        zip64 = self._checked_extra(entry.name, raw[name_end:length])
        self._check_sizes(entry, header, zip64)
        return entry.offset + length

    def _check_sizes(self, entry: Entry, header: LocalHeader, zip64: bytes | None) -> None:
        if entry.method == STORED and entry.size != entry.compressed_size:
            message = "The member is stored as it is, but has two different sizes."
            raise self._source.refuse("MAR-A131", message, member=entry.name)
        if self._by_torch and entry.flags & HAS_DESCRIPTOR:
            return  # PyTorch's zip64 field holds what it knew then; readers use the directory
        found = (header.crc, *self._local_sizes(entry, header, zip64))
        true = (entry.crc, entry.size, entry.compressed_size)
        streamed = bool(entry.flags & HAS_DESCRIPTOR)  # what was not known yet is zero
        pairs = zip(found, true, strict=True)
        if any(one != other and not (streamed and one == 0) for one, other in pairs):
            message = "The member's own header and the directory differ in size or CRC-32."
            raise self._source.refuse("MAR-A112", message, member=entry.name)

    def _local_sizes(
        self, entry: Entry, header: LocalHeader, zip64: bytes | None
    ) -> tuple[int, int]:
        short = header.size, header.compressed_size
        if zip64 is None:
            return short
        if len(zip64) != _BOTH_SIZES:
            message = "The member's zip64 field has a wrong length."
            raise self._source.refuse("MAR-A104", message, member=entry.name)
        size, compressed_size = zip64_values(zip64)
        if short[0] not in {size, MAX32} or short[1] not in {compressed_size, MAX32}:
            message = "The member's zip64 field disagrees."
            raise self._source.refuse("MAR-A104", message, member=entry.name)
        return size, compressed_size

    def _behind(self, entry: Entry, start: int, end: int) -> int:
        """Where the data descriptor ends, or the data where there is none."""
        if not entry.flags & HAS_DESCRIPTOR:
            return start
        if entry.method != DEFLATED and not self._by_torch:
            message = "A stored member has a data descriptor, so readers cannot know where it ends."
            raise self._source.refuse("MAR-A113", message, member=entry.name)
        raw = self._source.read_at(start, min(end - start, _MAX_DESCRIPTOR))
        for candidate in _descriptors(entry, either=self._by_torch):
            whole = not self._by_torch or start + len(candidate) == end
            if raw.startswith(candidate) and whole:
                return start + len(candidate)
        message = "The data descriptor behind the member differs from the directory."
        raise self._source.refuse("MAR-A113", message, member=entry.name)


def _places(data: bytes, signature: bytes) -> Iterator[int]:
    place = data.find(signature)
    while place != -1:
        yield place
        place = data.find(signature, place + 1)


def _descriptors(entry: Entry, *, either: bool) -> Iterator[bytes]:
    """What may stand behind a member's data: with its signature or bare, as wide as it must be."""
    large = max(entry.size, entry.compressed_size) > MAX32
    for form in ("<2L", "<2Q") if either and not large else ("<2Q" if large else "<2L",):
        true = struct.pack("<L", entry.crc)
        true += struct.pack(form, entry.compressed_size, entry.size)
        yield DESCRIPTOR_SIGNATURE + true
        yield true
