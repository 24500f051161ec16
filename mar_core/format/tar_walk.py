"""The walk over a tar from front to back: every block is a header, its data, or the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mar_core.format.codes import finding
from mar_core.format.reader_file import CHUNK
from mar_core.format.tar_headers import (
    BLOCK,
    Header,
    agreed_size,
    parse_header,
    parse_long_name,
    parse_pax,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.findings import Finding
    from mar_core.format.limits import Limits
    from mar_core.format.reader_file import ArchiveFile
    from mar_core.format.tar_gzip import GzipReader

__all__ = ["TarEntry", "walk_tar"]

MAX_EXTENDED = 64 << 10
_FILE, _OLD_FILE, _FOLDER = b"0", b"\0", b"5"
_PAX, _PAX_FOR_ALL, _LONG_NAME = b"x", b"g", b"L"
_LINKS = {b"1": "a hard link", b"2": "a symbolic link", b"K": "a link with a long target"}
_SPECIAL = {b"3": "a device", b"4": "a device", b"6": "a pipe", b"S": "a sparse file"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TarEntry:
    """One member.

    Attributes:
        name: The whole name, without a folder's trailing ``/``.
        size: Its length in bytes.
        offset: Where its data begins in the unpacked tar.
        folder: Whether it is a folder.
        fault: What is wrong with its kind, or None.
    """

    name: str
    size: int
    offset: int
    folder: bool
    fault: Finding | None = None


@dataclass(slots=True)
class _Pending:
    """What extended headers said about the member that comes next."""

    records: dict[str, str] = field(default_factory=dict)
    long_name: bytes | None = None
    seen: bool = False


def walk_tar(file: ArchiveFile, reader: GzipReader, limits: Limits) -> Iterator[TarEntry]:
    """The members in order; what the caller does not read of a member's data is skipped.

    Raises:
        ValidationError: The structure is not sound.
    """
    pending, count = _Pending(), 0
    while _has_content(block := reader.read(BLOCK)):
        start = reader.position - len(block)
        header = _header(file, block, start)
        count += header.kind not in {_PAX, _LONG_NAME}
        many = limits.too_many(count)
        if many is not None:
            raise file.refuse(many.code, many.message)
        try:
            if _extended(reader, header, pending):
                continue
            entry = _entry(header, pending, reader.position)
        except ValueError as error:
            message = f"The headers at byte {start:,} of the tar are not sound: {error}."
            raise file.refuse("MAR-A205", message) from error
        large = limits.too_large(entry.offset + entry.size, file.size)
        if large is not None:
            raise file.refuse(large.code, large.message)
        yield entry
        _skip_rest(file, reader, entry)
        pending = _Pending()
    _check_end(file, reader, block, pending)


def _header(file: ArchiveFile, block: bytes, start: int) -> Header:
    try:
        return parse_header(block)
    except ValueError as error:
        message = f"The header at byte {start:,} of the tar is not sound: {error}."
        raise file.refuse("MAR-A203", message) from error


def _extended(reader: GzipReader, header: Header, pending: _Pending) -> bool:
    """Take in a header that only describes the next one."""
    if header.kind not in {_PAX, _PAX_FOR_ALL, _LONG_NAME}:
        return False
    if header.size > MAX_EXTENDED:
        raise ValueError(f"an extended header takes {header.size:,} bytes")
    padded = -(-header.size // BLOCK) * BLOCK
    data = reader.read(padded)
    if len(data) < padded or _has_content(data[header.size :]):
        raise ValueError("an extended header is cut off or badly padded")
    data = data[: header.size]
    if header.kind == _PAX_FOR_ALL:
        if {"path", "size", "linkpath"} & parse_pax(data).keys():
            raise ValueError("an extended header renames or resizes every member")
        return True
    if pending.seen:
        raise ValueError("a member has two extended headers")
    pending.seen = True
    if header.kind == _PAX:
        pending.records = parse_pax(data)
    else:
        pending.long_name = parse_long_name(data)
    return True


def _entry(header: Header, pending: _Pending, offset: int) -> TarEntry:
    name = pending.records.get("path")
    if name is None:
        raw = header.name if pending.long_name is None else pending.long_name
        name = raw.decode("utf-8")
    folder = header.kind == _FOLDER or (header.kind == _OLD_FILE and name.endswith("/"))
    size = agreed_size(header, pending.records)
    shown = name.rstrip("/") or name
    fault = _kind_fault(header.kind, shown)
    if fault is None and folder and size:
        fault = finding("MAR-A122", f"The folder holds {size:,} bytes of its own.", member=shown)
    if fault is None and not folder and name.endswith("/"):
        fault = finding("MAR-A121", "The member is a file with the name of a folder.", member=shown)
    return TarEntry(name=shown, size=size, offset=offset, folder=folder, fault=fault)


def _kind_fault(kind: bytes, name: str) -> Finding | None:
    if kind in {_FILE, _OLD_FILE, _FOLDER}:
        return None
    if kind in _LINKS:
        return finding("MAR-A120", f"The member is {_LINKS[kind]}.", member=name)
    what = _SPECIAL.get(kind, f"of the unknown kind {kind!r}")
    return finding("MAR-A121", f"The member is {what}.", member=name)


def _skip_rest(file: ArchiveFile, reader: GzipReader, entry: TarEntry) -> None:
    end = entry.offset + -(-entry.size // BLOCK) * BLOCK
    wanted = end - reader.position
    if reader.skip(wanted) < wanted:
        raise file.refuse("MAR-A005", "The tar is cut off inside the member.", member=entry.name)


def _check_end(file: ArchiveFile, reader: GzipReader, block: bytes, pending: _Pending) -> None:
    if len(block) < BLOCK or len(block := reader.read(BLOCK)) < BLOCK or _has_content(block):
        raise file.refuse("MAR-A204", "The tar does not end with two blocks of zeros.")
    if pending.seen:
        raise file.refuse("MAR-A205", "The last extended header describes no member.")
    while rest := reader.read(CHUNK):
        if _has_content(rest):
            raise file.refuse("MAR-A204", "Something follows the end of the tar.")


def _has_content(data: bytes) -> bool:
    return data != bytes(len(data))
