"""The records of a zip file, made as bytes: local headers, the central directory, the end of it.

Written out here because ``zipfile`` gives no say over where a member's bytes begin, and because the
update of an archive keeps members that it has not read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = [
    "ALIGNMENT",
    "DEFLATED",
    "STORED",
    "ZIP64_LIMIT",
    "Entry",
    "central_directory",
    "data_start",
    "local_header",
]

ALIGNMENT = 4096
STORED, DEFLATED = 0, 8

_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_END_64 = struct.Struct("<IQHHIIQQQQ")
_LOCATOR_64 = struct.Struct("<IIQI")
_PADDING = struct.Struct("<HHH")

_MAX_16 = 0xFFFF
ZIP64_LIMIT = 0xFFFFFFFF
_PADDING_ID, _ZIP64_ID = 0xD935, 0x0001
_ZIP64_LOCAL_SIZE = 20
_UTF8 = 1 << 11
_UNIX, _VERSION, _VERSION_64 = 3, 20, 45
_MODE = 0o100644


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One member as the zip knows it.

    Attributes:
        name: Its path in the archive.
        size: Its bytes, unpacked.
        compressed_size: Its bytes in the archive.
        crc: The CRC-32 of its unpacked bytes.
        method: ``STORED`` or ``DEFLATED``.
        offset: Where its local header begins.
        date: The date and time in DOS's packing, ``date << 16 | time``.
    """

    name: str
    size: int
    compressed_size: int
    crc: int
    method: int
    offset: int
    date: int

    @property
    def zip64(self) -> bool:
        """Whether the sizes need 64 bits."""
        return max(self.size, self.compressed_size) >= ZIP64_LIMIT


def data_start(name: str, offset: int, *, size: int) -> int:
    """Where the bytes of a member begin whose local header is at ``offset``: a page boundary."""
    zip64 = _ZIP64_LOCAL_SIZE if size >= ZIP64_LIMIT else 0
    shortest = offset + _LOCAL.size + len(name.encode()) + zip64 + _PADDING.size
    return -(-shortest // ALIGNMENT) * ALIGNMENT


def local_header(entry: Entry) -> bytes:
    """The header that stands before a member's bytes, up to the page boundary."""
    name = entry.name.encode()
    extra = b""
    size, compressed = entry.size, entry.compressed_size
    if entry.zip64:
        extra = struct.pack("<HHQQ", _ZIP64_ID, 16, size, compressed)
        size = compressed = ZIP64_LIMIT
    start = data_start(entry.name, entry.offset, size=max(entry.size, entry.compressed_size))
    length = start - entry.offset - _LOCAL.size - len(name) - len(extra)
    extra += _PADDING.pack(_PADDING_ID, length - 4, ALIGNMENT) + bytes(length - _PADDING.size)
    header = _LOCAL.pack(
        0x04034B50,
        _VERSION_64 if entry.zip64 else _VERSION,
        _flags(entry.name),
        entry.method,
        entry.date & _MAX_16,
        entry.date >> 16,
        entry.crc,
        compressed,
        size,
        len(name),
        len(extra),
    )
    return header + name + extra


def central_directory(entries: list[Entry], offset: int) -> bytes:
    """The directory of all members and the end record, to be written at ``offset``."""
    directory = b"".join(_central_header(entry) for entry in entries)
    count, size = len(entries), len(directory)
    wide = b""
    if count >= _MAX_16 or max(size, offset) >= ZIP64_LIMIT:
        made, needed = _UNIX << 8 | _VERSION_64, _VERSION_64
        wide = _END_64.pack(0x06064B50, 44, made, needed, 0, 0, count, count, size, offset)
        wide += _LOCATOR_64.pack(0x07064B50, 0, offset + size, 1)
    count, size, offset = min(count, _MAX_16), min(size, ZIP64_LIMIT), min(offset, ZIP64_LIMIT)
    return directory + wide + _END.pack(0x06054B50, 0, 0, count, count, size, offset, 0)


def _central_header(entry: Entry) -> bytes:
    name = entry.name.encode()
    values = (entry.size, entry.compressed_size, entry.offset)
    wide = b"".join(struct.pack("<Q", value) for value in values if value >= ZIP64_LIMIT)
    extra = struct.pack("<HH", _ZIP64_ID, len(wide)) + wide if wide else b""
    version = _VERSION_64 if wide else _VERSION
    header = _CENTRAL.pack(
        0x02014B50,
        _UNIX << 8 | version,
        version,
        _flags(entry.name),
        entry.method,
        entry.date & _MAX_16,
        entry.date >> 16,
        entry.crc,
        min(entry.compressed_size, ZIP64_LIMIT),
        min(entry.size, ZIP64_LIMIT),
        len(name),
        len(extra),
        0,
        0,
        0,
        _MODE << 16,
        min(entry.offset, ZIP64_LIMIT),
    )
    return header + name + extra


def _flags(name: str) -> int:
    return 0 if name.isascii() else _UTF8
