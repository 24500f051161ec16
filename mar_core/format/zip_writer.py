"""Writes the members of an archive as a zip whose members begin on page boundaries.

The records are written out here because ``zipfile`` gives no say over where a member's bytes begin,
and because the update of an archive keeps members that it has not read.
"""

from __future__ import annotations

import codecs
import struct
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mar_core.format.digests import copy, digests_of, quiet, unchanging, write_at
from mar_core.format.manifest import epoch
from mar_core.format.sources import open_content, size_of
from mar_core.format.zip_records import (
    CENTRAL,
    CENTRAL_SIGNATURE,
    DEFLATED,
    END,
    END64,
    END64_SIGNATURE,
    END_SIGNATURE,
    EXTRA_ZIP64,
    LOCAL,
    LOCAL_SIGNATURE,
    LOCATOR,
    LOCATOR_SIGNATURE,
    MAX16,
    MAX32,
    STORED,
    UTF8_NAME,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mar_core.format.digests import Digests
    from mar_core.format.sources import Content

__all__ = [
    "ALIGNMENT", "NewEntry", "ZipWriter", "aligned_start", "central_directory", "deflated",
    "is_text", "local_header", "packer", "zip_date",
]  # fmt: skip

ALIGNMENT = 4096
_PADDING = struct.Struct("<HHH")
_PADDING_ID = 0xD935  # the one that Android's zipalign writes
_ZIP64_LOCAL_SIZE = 20
_UNIX, _VERSION, _VERSION_64 = 3, 20, 45
_MODE = 0o100644
# A text is deflated in memory; one that is longer is stored.
_LONGEST_TEXT = 16 << 20
_SAMPLE = 8192
_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\r\f\v\x1b")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
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
        return max(self.size, self.compressed_size) >= MAX32


def zip_date() -> int:
    """The one time of an archive in DOS's packing, ``date << 16 | time``."""
    moment = time.gmtime(epoch())
    date = (moment.tm_year - 1980) << 9 | moment.tm_mon << 5 | moment.tm_mday
    return date << 16 | moment.tm_hour << 11 | moment.tm_min << 5 | moment.tm_sec // 2


def aligned_start(name: str, offset: int, *, size: int) -> int:
    """Where the bytes of a member begin whose local header is at ``offset``: a page boundary."""
    zip64 = _ZIP64_LOCAL_SIZE if size >= MAX32 else 0
    shortest = offset + LOCAL.size + len(name.encode()) + zip64 + _PADDING.size
    return -(-shortest // ALIGNMENT) * ALIGNMENT


def local_header(entry: NewEntry) -> bytes:
    """The header that stands before a member's bytes, up to the page boundary."""
    name = entry.name.encode()
    extra = b""
    size, compressed = entry.size, entry.compressed_size
    if entry.zip64:
        extra = struct.pack("<HHQQ", EXTRA_ZIP64, 16, size, compressed)
        size = compressed = MAX32
    start = aligned_start(entry.name, entry.offset, size=max(entry.size, entry.compressed_size))
    length = start - entry.offset - LOCAL.size - len(name) - len(extra)
    extra += _PADDING.pack(_PADDING_ID, length - 4, ALIGNMENT) + bytes(length - _PADDING.size)
    header = LOCAL.pack(
        LOCAL_SIGNATURE,
        _VERSION_64 if entry.zip64 else _VERSION,
        _flags(entry.name),
        entry.method,
        entry.date & MAX16,
        entry.date >> 16,
        entry.crc,
        compressed,
        size,
        len(name),
        len(extra),
    )
    return header + name + extra


def central_directory(entries: list[NewEntry], offset: int) -> bytes:
    """The directory of all members and the end record, to be written at ``offset``."""
    directory = b"".join(_central_header(entry) for entry in entries)
    count, size = len(entries), len(directory)
    wide = b""
    if count >= MAX16 or max(size, offset) >= MAX32:
        made, needed = _UNIX << 8 | _VERSION_64, _VERSION_64
        wide = END64.pack(END64_SIGNATURE, 44, made, needed, 0, 0, count, count, size, offset)
        wide += LOCATOR.pack(LOCATOR_SIGNATURE, 0, offset + size, 1)
    count, size, offset = min(count, MAX16), min(size, MAX32), min(offset, MAX32)
    return directory + wide + END.pack(END_SIGNATURE, 0, 0, count, count, size, offset, 0)


def _central_header(entry: NewEntry) -> bytes:
    name = entry.name.encode()
    values = (entry.size, entry.compressed_size, entry.offset)
    wide = b"".join(struct.pack("<Q", value) for value in values if value >= MAX32)
    extra = struct.pack("<HH", EXTRA_ZIP64, len(wide)) + wide if wide else b""
    version = _VERSION_64 if wide else _VERSION
    header = CENTRAL.pack(
        CENTRAL_SIGNATURE,
        _UNIX << 8 | version,
        version,
        _flags(entry.name),
        entry.method,
        entry.date & MAX16,
        entry.date >> 16,
        entry.crc,
        min(entry.compressed_size, MAX32),
        min(entry.size, MAX32),
        len(name),
        len(extra),
        0,
        0,
        0,
        _MODE << 16,
        min(entry.offset, MAX32),
    )
    return header + name + extra


def _flags(name: str) -> int:
    return 0 if name.isascii() else UTF8_NAME


class ZipWriter:
    """Appends members to a zip, in one pass over each.

    Args:
        target: Descriptor to write to.
        deflate: Deflate texts; otherwise everything is stored.
        serialized: The member that holds the weights, which is never deflated.
        entries: Members that are in the file already, from its start.
        offset: Where the next member goes.
        progress: Told the bytes done since it was last called.
    """

    def __init__(
        self,
        target: int,
        *,
        deflate: bool,
        serialized: str | None,
        entries: Iterable[NewEntry] = (),
        offset: int = 0,
        progress: Callable[[int], None] = quiet,
    ) -> None:
        self._target = target
        self._deflate = deflate
        self._serialized = serialized
        self._entries = list(entries)
        self._offset = offset
        self._progress = progress
        self._date = zip_date()

    def add(self, name: str, content: Content) -> Digests:
        """Append one member.

        Raises:
            ArchiveError: It cannot be read, or changes meanwhile.
            OSError: The target cannot take it.
        """
        if self._deflate and name != self._serialized and is_text(content):
            with unchanging(content, size_of(content)) as stream:
                data = stream.read()
            packed = deflated(data)
            if len(packed) < len(data):
                return self._add_deflated(name, data, packed)
            content = data
        return self._add_stored(name, content)

    def close(self) -> None:
        """Write the directory behind the last member."""
        write_at(self._target, central_directory(self._entries, self._offset), self._offset)

    def _add_deflated(self, name: str, data: bytes, packed: bytes) -> Digests:
        start = aligned_start(name, self._offset, size=len(data))
        write_at(self._target, packed, start)
        self._progress(len(data))
        return self._put_header(name, digests_of(data), DEFLATED, start, len(packed))

    def _add_stored(self, name: str, content: Content) -> Digests:
        size = size_of(content)
        start = aligned_start(name, self._offset, size=size)
        digests = copy(content, self._target, offset=start, size=size, progress=self._progress)
        return self._put_header(name, digests, STORED, start, size)

    def _put_header(
        self, name: str, digests: Digests, method: int, start: int, length: int
    ) -> Digests:
        """Write the header before the bytes, now that their digests are known."""
        entry = NewEntry(
            name=name,
            size=digests.size,
            compressed_size=length,
            crc=digests.crc,
            method=method,
            offset=self._offset,
            date=self._date,
        )
        write_at(self._target, local_header(entry), self._offset)
        self._entries.append(entry)
        self._offset = start + length
        return digests


def is_text(content: Content) -> bool:
    """Whether a member is worth deflating: UTF-8 without control characters, and not too long.

    Raises:
        ArchiveError: It cannot be read.
    """
    if size_of(content) > _LONGEST_TEXT:
        return False
    with open_content(content) as stream:
        sample = stream.read(_SAMPLE)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return False
    return not _CONTROLS & set(sample)


def deflated(data: bytes) -> bytes:
    """The data, deflated in one go."""
    packed = packer()
    return packed.compress(data) + packed.flush()


def packer() -> zlib._Compress:
    """A raw deflate stream that gives the same bytes with every zlib there is.

    What zlib and zlib-ng make of the same text differs between the two, and between versions and
    processors, wherever they search for matches. Run lengths and Huffman codes leave no choice.
    """
    return zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
