"""The directory of a zip: its entries, each sound on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.format.zip_records import (
    CENTRAL,
    CENTRAL_SIGNATURE,
    DEFLATED,
    END_SIGNATURE,
    EXTRA_AES,
    EXTRA_ASI_UNIX,
    EXTRA_STRONG_ENCRYPTION,
    EXTRA_UNICODE_PATH,
    EXTRA_ZIP64,
    HAS_DESCRIPTOR,
    MAX32,
    STORED,
    UTF8_NAME,
    Entry,
    extra_fields,
    zip64_values,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.format.reader_file import ArchiveFile
    from mar_core.format.zip_end import End

__all__ = ["checked_extra", "read_directory"]

MAX_DIRECTORY = 64 << 20
MAX_COMMENT = 1024
NEWEST_VERSION = 45  # 4.5: zip64
_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13
_LEVEL = 1 << 1 | 1 << 2
_KNOWN_FLAGS = _LEVEL | HAS_DESCRIPTOR | UTF8_NAME
_METHODS = {
    1: "shrink",
    6: "implode",
    9: "deflate64",
    12: "bzip2",
    14: "LZMA",
    93: "zstd",
    95: "xz",
}


def read_directory(file: ArchiveFile, end: End) -> list[Entry]:
    """The entries in the directory's order.

    Raises:
        ValidationError: A record is damaged, or is of a kind that no model archive needs.
    """
    if end.directory_size > MAX_DIRECTORY:
        message = f"The directory alone takes {end.directory_size:,} bytes."
        raise file.refuse("MAR-A105", message)
    raw = file.read_at(end.directory_offset, end.directory_size)
    entries = list(_entries(file, raw))
    if len(entries) != end.count:
        message = (
            f"The end record counts {end.count:,} members; the directory has {len(entries):,}."
        )
        raise file.refuse("MAR-A103", message)
    return entries


def _entries(file: ArchiveFile, raw: bytes) -> Iterator[Entry]:
    position = 0
    while position < len(raw):
        if raw[position : position + 4] != CENTRAL_SIGNATURE or len(raw) < position + CENTRAL.size:
            raise file.refuse("MAR-A105", "The directory holds something that is no entry.")
        fields = CENTRAL.unpack_from(raw, position)
        start = position + CENTRAL.size
        name_end = start + fields[10]
        extra_end = name_end + fields[11]
        position = extra_end + fields[12]
        if position > len(raw):
            raise file.refuse("MAR-A105", "An entry of the directory is cut off.")
        parts = raw[start:name_end], raw[name_end:extra_end], raw[extra_end:position]
        yield _entry(file, fields, parts)


def _entry(file: ArchiveFile, fields: tuple[int, ...], parts: tuple[bytes, bytes, bytes]) -> Entry:
    _, _, version, flags, method, _, _, crc, packed, size, _, _, _, disk, _, attributes, offset = (
        fields
    )
    raw_name, extra, comment = parts
    name = _name(file, raw_name)
    _check_features(file, name, version=version, flags=flags, method=method)
    if len(comment) > MAX_COMMENT or END_SIGNATURE in comment:
        raise file.refuse("MAR-A102", "The member's comment is too long or not plain.", member=name)
    if disk != 0:
        raise file.refuse("MAR-A105", "The entry points to another disk.", member=name)
    zip64 = checked_extra(file, name, extra)
    size, packed, offset = _resolved(file, name, [size, packed, offset], zip64)
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


def _name(file: ArchiveFile, raw: bytes) -> str:
    shown = raw.decode("utf-8", "backslashreplace")
    if not raw:
        raise file.refuse("MAR-A105", "An entry of the directory has no name.")
    try:
        return raw.decode("utf-8")  # as Java does, whether it is marked or not
    except UnicodeDecodeError as error:
        message = "The name is not UTF-8."
        raise file.refuse("MAR-A118", message, member=shown) from error


def _check_features(file: ArchiveFile, name: str, *, version: int, flags: int, method: int) -> None:
    if flags & _ENCRYPTED:
        raise file.refuse("MAR-A114", "The member is encrypted.", member=name)
    if flags & ~_KNOWN_FLAGS:
        message = f"The member has flags that TorchServe does not know (0x{flags:04x})."
        raise file.refuse("MAR-A116", message, member=name)
    if method not in {STORED, DEFLATED}:
        called = _METHODS.get(method, f"number {method}")
        message = f"The member is compressed by {called}, not stored or deflated."
        raise file.refuse("MAR-A115", message, member=name)
    if version & 0xFF > NEWEST_VERSION:
        message = f"The member asks for a zip reader of version {(version & 0xFF) / 10}."
        raise file.refuse("MAR-A116", message, member=name)


def checked_extra(file: ArchiveFile, name: str, extra: bytes) -> bytes | None:
    """The zip64 field among the extra fields, once all of them are known to be harmless.

    Raises:
        ValidationError: One is cut off, renames the member, encrypts it, links it, or comes twice.
    """
    try:
        fields = list(extra_fields(extra))
    except ValueError as error:
        raise file.refuse(
            "MAR-A117", f"The extra fields are damaged: {error}.", member=name
        ) from error
    zip64 = [data for kind, data in fields if kind == EXTRA_ZIP64]
    if len(zip64) > 1:
        raise file.refuse("MAR-A104", "The member has two zip64 fields.", member=name)
    kinds = {kind for kind, _ in fields}
    if EXTRA_UNICODE_PATH in kinds:
        raise file.refuse("MAR-A117", "An extra field gives the member another name.", member=name)
    if kinds & {EXTRA_AES, EXTRA_STRONG_ENCRYPTION}:
        raise file.refuse("MAR-A114", "The member is encrypted.", member=name)
    if EXTRA_ASI_UNIX in kinds:
        raise file.refuse("MAR-A120", "An extra field can make the member a link.", member=name)
    return zip64[0] if zip64 else None


def _resolved(
    file: ArchiveFile, name: str, short: list[int], zip64: bytes | None
) -> tuple[int, int, int]:
    """Size, compressed size and offset, with the zip64 field's values where those are asked for."""
    unknown = [place for place, value in enumerate(short) if value == MAX32]
    if zip64 is None:
        if unknown:
            raise file.refuse("MAR-A104", "The member's zip64 field is missing.", member=name)
        return short[0], short[1], short[2]
    # Some writers add the field with all values although none is asked for.
    wanted = unknown or list(range(len(zip64) // 8))
    values = zip64_values(zip64)
    if len(zip64) != 8 * len(wanted) or len(wanted) > len(short):
        raise file.refuse("MAR-A104", "The member's zip64 field has a wrong length.", member=name)
    for place, value in zip(wanted, values, strict=True):
        if short[place] not in {value, MAX32}:
            raise file.refuse("MAR-A104", "The member's zip64 field disagrees.", member=name)
        short[place] = value
    return short[0], short[1], short[2]
