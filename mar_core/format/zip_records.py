"""The records that a zip is made of, as they stand in the file, and what one entry comes to.

They say how long they are, so that a zip without an end record that fits is followed from the front
to where it was cut off, or to what follows it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple, Protocol

__all__ = [
    "CENTRAL", "CENTRAL_SIGNATURE", "DEFLATED", "DESCRIPTOR_SIGNATURE", "END", "END64",
    "END64_SIGNATURE", "END_SIGNATURE", "EXTRA_AES", "EXTRA_ASI_UNIX",
    "EXTRA_STRONG_ENCRYPTION", "EXTRA_UNICODE_PATH", "EXTRA_ZIP64", "HAS_DESCRIPTOR", "LOCAL",
    "LOCAL_SIGNATURE", "LOCATOR", "LOCATOR_SIGNATURE", "MAX16", "MAX32", "STORED", "UTF8_NAME",
    "Entry", "LocalHeader", "ZipSource", "explain_missing_end", "extra_fields", "zip64_values",
]  # fmt: skip

LOCAL_SIGNATURE = b"PK\x03\x04"
CENTRAL_SIGNATURE = b"PK\x01\x02"
DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
END_SIGNATURE = b"PK\x05\x06"
END64_SIGNATURE = b"PK\x06\x06"
LOCATOR_SIGNATURE = b"PK\x06\x07"

# signature, version, flags, method, time, date, crc, compressed, size, name length, extra length
LOCAL = struct.Struct("<4s5H3L2H")
# signature, made by, version, flags, method, time, date, crc, compressed, size, name, extra and
# comment length, disk, internal attributes, external attributes, offset
CENTRAL = struct.Struct("<4s6H3L5H2L")
# signature, disk, directory's disk, entries here, entries, directory's size, its offset, comment
END = struct.Struct("<4s4H2LH")
# signature, record's size, made by, version, disk, directory's disk, entries here, entries,
# directory's size, its offset
END64 = struct.Struct("<4sQ2H2L4Q")
# signature, disk, record's offset, disks
LOCATOR = struct.Struct("<4sLQL")

STORED, DEFLATED = 0, 8
HAS_DESCRIPTOR, UTF8_NAME = 1 << 3, 1 << 11
MAX16, MAX32 = 0xFFFF, 0xFFFFFFFF
EXTRA_ZIP64, EXTRA_STRONG_ENCRYPTION, EXTRA_UNICODE_PATH = 0x0001, 0x0017, 0x7075
EXTRA_ASI_UNIX, EXTRA_AES = 0x756E, 0x9901
_MOST_RECORDS = 30_000  # that are followed from the front


class ZipSource(Protocol):
    """Where the bytes of a zip come from, and how a fault of it is told."""

    @property
    def size(self) -> int:
        """The length in bytes."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset``; fewer only at the end."""

    def refuse(self, code: str, message: str, *, member: str | None = None) -> Exception:
        """The error to raise for one fault."""


class LocalHeader(NamedTuple):
    """The fixed part of the header that stands before a member's data."""

    signature: bytes
    version: int
    flags: int
    method: int
    time: int
    date: int
    crc: int
    compressed_size: int
    size: int
    name_length: int
    extra_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the directory, zip64 fields put in place.

    Attributes:
        name: The name as text, with the trailing ``/`` of a folder.
        raw_name: The name's bytes.
        flags: The general-purpose flags.
        method: ``STORED`` or ``DEFLATED``, once checked.
        crc: The CRC-32 of the content.
        compressed_size: The bytes that the content takes in the file.
        size: The bytes that it unpacks to.
        offset: Where the local header begins.
        mode: The Unix mode, or 0.
    """

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    compressed_size: int
    size: int
    offset: int
    mode: int

    @property
    def stored(self) -> bool:
        """Whether the content lies in the file as it is, not deflated."""
        return self.method == STORED


def extra_fields(raw: bytes) -> list[tuple[int, bytes]]:
    """The id and the data of each extra field.

    Raises:
        ValueError: A field is cut off.
    """
    fields = []
    position = 0
    while position < len(raw):
        if position + 4 > len(raw):
            raise ValueError("an extra field's header is cut off")
        kind, length = struct.unpack_from("<2H", raw, position)
        position += 4
        if position + length > len(raw):
            raise ValueError(f"the extra field 0x{kind:04x} is cut off")
        fields.append((kind, raw[position : position + length]))
        position += length
    return fields


def zip64_values(data: bytes) -> tuple[int, ...]:
    """The 8-byte numbers of a zip64 extra field, without a disk number behind them."""
    return struct.unpack_from(f"<{len(data) // 8}Q", data)


def explain_missing_end(file: ZipSource) -> Exception:
    """Walk from the front as far as records say how long they are."""
    position = 0
    for _ in range(_MOST_RECORDS):
        signature = file.read_at(position, 4)
        if signature == END_SIGNATURE:
            return _after_end(file, position)
        length = _length(file, signature, position)
        if length is None:
            break
        if position + length > file.size:
            return _cut_off(file)
        position += length
    if position + 4 > file.size:
        return _cut_off(file)
    message = (
        f"The end record is missing: the file was cut off at byte {file.size:,}, or is damaged."
    )
    return file.refuse("MAR-A005", message)


def _cut_off(file: ZipSource) -> Exception:
    message = f"The file was cut off at byte {file.size:,}; the rest is missing."
    return file.refuse("MAR-A005", message)


def _after_end(file: ZipSource, position: int) -> Exception:
    record = file.read_at(position, END.size)
    if len(record) < END.size:
        return _cut_off(file)
    after = file.size - position - END.size - END.unpack(record)[-1]
    if after < 0:
        return _cut_off(file)
    return file.refuse("MAR-A007", f"{after:,} bytes stand behind the end of the archive.")


def _length(file: ZipSource, signature: bytes, position: int) -> int | None:
    """The length of the record there with what belongs to it, or None where that is unknown."""
    fixed = {END64_SIGNATURE: END64.size, LOCATOR_SIGNATURE: LOCATOR.size}
    if signature in fixed:
        return fixed[signature]
    if signature == CENTRAL_SIGNATURE:
        raw = file.read_at(position, CENTRAL.size)
        if len(raw) < CENTRAL.size:
            return CENTRAL.size
        name, extra, comment = CENTRAL.unpack(raw)[10:13]
        return int(CENTRAL.size + name + extra + comment)
    return _local_length(file, position) if signature == LOCAL_SIGNATURE else None


def _local_length(file: ZipSource, position: int) -> int | None:
    raw = file.read_at(position, LOCAL.size)
    if len(raw) < LOCAL.size:
        return LOCAL.size
    header = LocalHeader(*LOCAL.unpack(raw))
    if header.flags & HAS_DESCRIPTOR:
        return None
    start = LOCAL.size + header.name_length
    size = header.compressed_size
    if size == MAX32:
        extra = file.read_at(position + start, header.extra_length)
        size = _zip64_compressed_size(extra)
    return start + header.extra_length + size


def _zip64_compressed_size(extra: bytes) -> int:
    try:
        found = [zip64_values(data) for kind, data in extra_fields(extra) if kind == EXTRA_ZIP64]
    except ValueError:
        return 0
    return found[0][1] if found and len(found[0]) > 1 else 0
