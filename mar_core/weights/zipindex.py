"""The zip inside a weights file: mar's one zip reader, over any seekable stream.

``torch.save``, TorchScript and ``torch.export`` write plain zips that PyTorch reads with a reader
of its own, which goes by the directory and ignores case. Where that reader and another could see
different things, the file is refused.
"""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING, BinaryIO

from mar_core.errors import ModelError
from mar_core.format.file import CHUNK
from mar_core.format.limits import Limits
from mar_core.format.zip_reader import ZipParser
from mar_core.format.zip_records import Entry as ZipEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mar_core.weights.streams import Allowance

__all__ = [
    "ZipEntry", "check_crc", "check_layout", "data_start", "read_directory", "read_entry",
    "read_head",
]  # fmt: skip

# One record for each storage; the largest models have some thousand, and each costs time.
_LIMITS = Limits(max_members=50_000)


class _Inner:
    """A stream as the reader wants it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size = stream.seek(0, io.SEEK_END)

    def read_at(self, offset: int, length: int) -> bytes:
        self._stream.seek(offset)
        return self._stream.read(length)

    def refuse(self, _code: str, message: str, *, member: str | None = None) -> ModelError:
        where = "" if member is None else f"record {member!r}: "
        return ModelError(f"{where}{message[:1].lower()}{message[1:].rstrip('.')}")


def read_directory(stream: BinaryIO) -> list[ZipEntry]:
    """The records of a zip, in the order of its directory.

    Raises:
        ModelError: The directory is damaged, too large, or not where it must be.
    """
    return _reader(stream).entries()


def check_layout(stream: BinaryIO, entries: Iterable[ZipEntry]) -> None:
    """Check that the records tile the file and are named the same at both ends.

    Raises:
        ModelError: Two records share a name or bytes, a local header says something else, or there
            are bytes that belong to no record.
    """
    seen: set[str] = set()
    for entry in entries:
        name = entry.name.casefold()
        if name in seen:
            raise ModelError(f"its zip has the record {entry.name!r} twice")
        seen.add(name)
    if seen:
        _reader(stream).walk()


def data_start(stream: BinaryIO, entry: ZipEntry) -> int:
    """Where the bytes of a record begin.

    Raises:
        ModelError: The local header is damaged or names another record.
    """
    return _reader(stream).data_start(entry)


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


def check_crc(stream: BinaryIO, entry: ZipEntry, budget: Allowance) -> None:
    """Read one record, unpacked, to its end and compare its checksum.

    Raises:
        ModelError: It is damaged.
    """
    stream.seek(0)
    crc = 0
    while chunk := stream.read(CHUNK):
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


def _reader(stream: BinaryIO) -> ZipParser:
    return ZipParser(_Inner(stream), _LIMITS, by_torch=True)
