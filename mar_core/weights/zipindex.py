"""The directory of the zip inside a weights file, read strictly.

``torch.save``, TorchScript and ``torch.export`` write plain zips that PyTorch reads with a reader
of its own. Where that reader and Python's ``zipfile`` could see different things, this one refuses:
the end record must end the file, without a comment, and the records must tile the file.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from mar_core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mar_core.weights.cost import Budget

__all__ = [
    "ZipEntry",
    "check_crc",
    "check_layout",
    "data_start",
    "read_directory",
    "read_entry",
    "read_head",
]

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MAX_DIRECTORY = 64 << 20
_MAX_DESCRIPTOR = 24
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_STORED, _DEFLATED = 0, 8
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipEntry:
    """One record of an inner zip.

    Attributes:
        name: Its full name.
        size: Its length in bytes, unpacked.
        compressed_size: The bytes that it takes in the file.
        stored: Whether it lies there as it is; else it is deflated.
        crc: The CRC-32 of its bytes.
        header: Where its local header begins.
    """

    name: str
    size: int
    compressed_size: int
    stored: bool
    crc: int
    header: int


def read_directory(stream: BinaryIO) -> list[ZipEntry]:
    """The records of a zip, in the order of its directory.

    Raises:
        ModelError: The directory is damaged, too large, or not where it must be.
    """
    start, size, count = _find_directory(stream)
    if size > _MAX_DIRECTORY:
        raise ModelError(f"its zip directory is {size:,} bytes long")
    stream.seek(start)
    raw = stream.read(size)
    entries = list(_parse_directory(raw))
    if len(entries) != count:
        raise ModelError(f"its zip directory promises {count:,} records and has {len(entries):,}")
    return entries


def check_layout(stream: BinaryIO, entries: Iterable[ZipEntry]) -> None:
    """Check that the records tile the file and are named the same at both ends.

    Raises:
        ModelError: Two records share a name or bytes, a local header says something else, or there
            are bytes that belong to no record.
    """
    ordered = sorted(entries, key=lambda entry: entry.header)
    names = Counter(entry.name.casefold() for entry in ordered)
    twice = next((name for name, times in names.items() if times > 1), None)
    if twice is not None:
        raise ModelError(f"its zip has the record {twice!r} twice")
    position = 0
    for entry in ordered:
        if entry.header != position and not 0 < entry.header - position <= _MAX_DESCRIPTOR:
            raise ModelError(f"its zip has stray or shared bytes before the record {entry.name!r}")
        position = data_start(stream, entry) + entry.compressed_size
    start, _, _ = _find_directory(stream)
    if not 0 <= start - position <= _MAX_DESCRIPTOR:
        raise ModelError("its zip has stray or shared bytes before the directory")


def data_start(stream: BinaryIO, entry: ZipEntry) -> int:
    """Where the bytes of a record begin.

    Raises:
        ModelError: The local header is damaged or names another record.
    """
    stream.seek(entry.header)
    raw = stream.read(_LOCAL.size)
    if len(raw) < _LOCAL.size or raw[:4] != b"PK\x03\x04":
        raise ModelError(f"its zip has no record where {entry.name!r} should begin")
    *_, name_length, extra_length = _LOCAL.unpack(raw)
    if stream.read(name_length) != entry.name.encode("utf-8"):
        raise ModelError(f"its zip gives the record {entry.name!r} two names")
    return entry.header + _LOCAL.size + int(name_length) + int(extra_length)


def read_entry(stream: BinaryIO, entry: ZipEntry, *, limit: int) -> bytes:
    """The bytes of one record.

    Raises:
        ModelError: It is longer than ``limit``, or damaged.
    """
    if entry.size > limit:
        raise ModelError(f"its record {entry.name!r} is {entry.size:,} bytes long")
    stream.seek(data_start(stream, entry))
    raw = stream.read(min(entry.compressed_size, limit))
    if not entry.stored:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            raw = inflater.decompress(raw, entry.size + 1)
        except zlib.error as error:
            raise ModelError(f"its record {entry.name!r} is damaged") from error
    if len(raw) != entry.size or zlib.crc32(raw) != entry.crc:
        raise ModelError(f"its record {entry.name!r} is damaged")
    return raw


def check_crc(stream: BinaryIO, entry: ZipEntry, budget: Budget) -> None:
    """Read one record, unpacked, to its end and compare its checksum.

    Raises:
        ModelError: It is damaged.
    """
    stream.seek(0)
    crc = 0
    while chunk := stream.read(_CHUNK):
        budget.spend(len(chunk))
        crc = zlib.crc32(chunk, crc)
    if crc != entry.crc:
        raise ModelError(f"its record {entry.name!r} is damaged")


def read_head(stream: BinaryIO, entry: ZipEntry, *, length: int) -> bytes:
    """The first bytes of a record, without its CRC being checked.

    Raises:
        ModelError: It is damaged.
    """
    stream.seek(data_start(stream, entry))
    raw = stream.read(min(entry.compressed_size, length))
    if entry.stored:
        return raw
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(raw, length)
    except zlib.error as error:
        raise ModelError(f"its record {entry.name!r} is damaged") from error


def _find_directory(stream: BinaryIO) -> tuple[int, int, int]:
    """Where the directory begins, its length in bytes, and its number of records."""
    end = stream.seek(0, io.SEEK_END) - _END.size
    if end < 0:
        raise ModelError("it is cut off")
    stream.seek(end)
    signature, disk, start_disk, _, count, size, start, comment = _END.unpack(
        stream.read(_END.size)
    )
    if signature != b"PK\x05\x06" or comment or disk or start_disk:
        raise ModelError("it is cut off, or has bytes behind its zip")
    if end >= _LOCATOR64.size:
        stream.seek(end - _LOCATOR64.size)
        locator = stream.read(_LOCATOR64.size)
        if locator[:4] == b"PK\x06\x07":
            end, start, size, count = _read_end64(stream, locator, end - _LOCATOR64.size)
    if start + size != end:
        raise ModelError("its zip directory is not where it must be")
    return start, size, count


def _read_end64(stream: BinaryIO, locator: bytes, place: int) -> tuple[int, int, int, int]:
    end = _LOCATOR64.unpack(locator)[2]
    if end + _END64.size != place:
        raise ModelError("its zip64 end record is not where it must be")
    stream.seek(end)
    record = _END64.unpack(stream.read(_END64.size))
    if record[0] != b"PK\x06\x06":
        raise ModelError("its zip64 end record is damaged")
    _, count, size, start = record[6:]
    return end, start, size, count


def _parse_directory(raw: bytes) -> Iterator[ZipEntry]:
    position = 0
    while position < len(raw):
        if len(raw) - position < _CENTRAL.size:
            raise ModelError("its zip directory is cut off")
        fields = _CENTRAL.unpack_from(raw, position)
        signature, _, _, flags, method, _, _, crc, packed, size, name_n, extra_n, note_n = fields[
            :13
        ]
        header = fields[16]
        if signature != b"PK\x01\x02" or flags & 0x2061 or method not in {_STORED, _DEFLATED}:
            raise ModelError("its zip directory is damaged, encrypted or of an unknown kind")
        position += _CENTRAL.size
        name = raw[position : position + name_n]
        extra = raw[position + name_n : position + name_n + extra_n]
        position += name_n + extra_n + note_n
        size, packed, header = _widen(extra, [size, packed, header])
        if method == _STORED and size != packed:
            raise ModelError("its zip directory gives a stored record two sizes")
        yield ZipEntry(
            name=_decode(name),
            size=size,
            compressed_size=packed,
            stored=method == _STORED,
            crc=crc,
            header=header,
        )


def _decode(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelError("its zip has a record whose name is not UTF-8") from error


def _widen(extra: bytes, values: list[int]) -> list[int]:
    """Take the 64-bit sizes from the zip64 extra field where the 32-bit ones are full."""
    if _FULL32 not in values:
        return values
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        if kind == 1:
            field = extra[position + 4 : position + 4 + length]
            wide = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
            try:
                return [next(wide) if value == _FULL32 else value for value in values]
            except StopIteration:
                break
        position += 4 + length
    raise ModelError("its zip directory lacks a 64-bit size")
