"""The tar inside a ``.tar.gz``, strictly: every block is a header, its data, or the end.

``tarfile`` takes each header apart. What it would overlook is refused here: blocks of no known
format, extended headers that contradict the header or each other, names hidden behind a name, and
anything behind the end. The gzip stream is inflated once, into a copy that all reading goes to.
"""

from __future__ import annotations

import re
import tarfile
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, cast

from mar_core.errors import ArchiveError
from mar_core.format.codes import finding
from mar_core.format.file import CHUNK, GZIP, Inflater

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.findings import Finding
    from mar_core.format.file import ArchiveFile
    from mar_core.format.limits import Limits

__all__ = ["TarEntry", "inflated_copy", "walk_tar"]

BLOCK = tarfile.BLOCKSIZE
MAX_EXTENDED = 64 << 10
_IN_MEMORY = 32 << 20
_FILE, _OLD_FILE, _FOLDER = tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE
_PAX, _PAX_FOR_ALL, _LONG_NAME = tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME
_LINKS = {b"1": "a hard link", b"2": "a symbolic link", b"K": "a link with a long target"}
_SPECIAL = {b"3": "a device", b"4": "a device", b"6": "a pipe", b"S": "a sparse file"}
_FORMATS = _USTAR, _GNU, _OLD = b"ustar\x0000", b"ustar  \0", bytes(8)
# mode, owner, group, size, time, checksum, device numbers
_NUMBERS = ((100, 108), (108, 116), (116, 124), (124, 136), (136, 148), (148, 156), (329, 337),
            (337, 345))  # fmt: skip
_OCTAL = re.compile(rb" *[0-7]*[ \0]*")
_GNU_BINARY = (b"\x80", b"\xff")
_RECORD = re.compile(rb"([1-9]\d{0,6}) ([^=]+)=", re.DOTALL)
_MOST_OCTAL = 0o77777777777


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


def inflated_copy(file: ArchiveFile, limits: Limits) -> BinaryIO:
    """The tar of a ``.tar.gz``, inflated to a file without a name; in memory while it is small.

    Raises:
        ValidationError: The gzip stream is damaged, cut off, followed by something, or too long.
        ArchiveError: There is no room for the copy.
    """
    copy = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the caller's
    try:
        for data in _inflate(file, limits):
            copy.write(data)
    except OSError as error:
        copy.close()
        raise ArchiveError(
            f"{file.path} cannot be unpacked to {tempfile.gettempdir()}: {error.strerror}.",
            hint="Name a folder that has room with TMPDIR.",
        ) from error
    except BaseException:
        copy.close()
        raise
    return cast("BinaryIO", copy)


def _inflate(file: ArchiveFile, limits: Limits) -> Iterator[bytes]:
    fetched = position = 0
    allowed = limits.total(file.size)

    def fetch(length: int) -> bytes:
        nonlocal fetched
        data = file.read_at(fetched, length)
        fetched += len(data)
        return data

    inflater = Inflater(fetch, form=GZIP)
    while not inflater.ended:
        try:
            data = inflater.read(CHUNK)
        except ValueError as error:
            raise file.refuse("MAR-A201", f"The gzip stream is damaged: {error}.") from error
        position += len(data)
        large = limits.too_large(position, file.size) if position > allowed else None
        if large is not None:
            raise file.refuse(large.code, large.message)
        if not data and not inflater.ended:
            message = f"The file was cut off at byte {file.size:,}; the rest is missing."
            raise file.refuse("MAR-A005", message)
        yield data
    after = inflater.unused or file.read_at(fetched, 2)
    if after:
        second = after.startswith(b"\x1f\x8b")
        what = "A second gzip stream follows the first." if second else (
            "Something follows the gzip stream."
        )  # fmt: skip
        raise file.refuse("MAR-A202", what)


def walk_tar(file: ArchiveFile, tar: BinaryIO, limits: Limits) -> Iterator[TarEntry]:
    """The members in order.

    Args:
        file: The archive, which errors name.
        tar: Its tar, seekable; nobody else moves it meanwhile.
        limits: How many members there may be.

    Raises:
        ValidationError: The structure is not sound.
    """
    size = tar.seek(0, 2)
    pending, count, position = _Pending(), 0, 0
    while _has_content(block := _read(tar, position, BLOCK)):
        header = _header(file, block, position)
        start, position = position, position + BLOCK
        count += header.type not in {_PAX, _LONG_NAME}
        many = limits.too_many(count)
        if many is not None:
            raise file.refuse(many.code, many.message)
        try:
            if header.type in {_PAX, _PAX_FOR_ALL, _LONG_NAME}:
                _take_in(header.type, _extended(tar, position, header.size), pending)
                position += _padded(header.size)
                continue
            entry = _entry(header, pending, position)
        except ValueError as error:
            message = f"The headers at byte {start:,} of the tar are not sound: {error}."
            raise file.refuse("MAR-A205", message) from error
        large = limits.too_large(entry.offset + entry.size, file.size)
        if large is not None:
            raise file.refuse(large.code, large.message)
        position += _padded(entry.size)
        if position > size:
            message = "The tar is cut off inside the member."
            raise file.refuse("MAR-A005", message, member=entry.name)
        yield entry
        pending = _Pending()
    _check_end(file, tar, position, pending)


def _header(file: ArchiveFile, block: bytes, start: int) -> tarfile.TarInfo:
    try:
        _check_block(block)
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        message = f"The header at byte {start:,} of the tar is not sound: {error}."
        raise file.refuse("MAR-A203", message) from error
    return header


def _check_block(block: bytes) -> None:
    """What ``frombuf`` does not look at, or reads more generously than others do."""
    if len(block) < BLOCK:
        raise ValueError("it is cut off")
    if block[257:265] not in _FORMATS:
        raise ValueError("it is of no known tar format")
    if block[257:265] != _USTAR and block[345:500].strip(b"\0"):
        raise ValueError("it has fields that readers understand differently")
    for start, end in _NUMBERS:
        number = block[start:end]
        if not number.startswith(_GNU_BINARY) and not _OCTAL.fullmatch(number):
            raise ValueError("a number in it is not octal")
    if block[124:125] == b"\xff":
        raise ValueError("its size is negative")


def _extended(tar: BinaryIO, position: int, size: int) -> bytes:
    """The data of a header that only describes the next one."""
    if size > MAX_EXTENDED:
        raise ValueError(f"an extended header takes {size:,} bytes")
    data = _read(tar, position, _padded(size))
    if len(data) < _padded(size) or _has_content(data[size:]):
        raise ValueError("an extended header is cut off or badly padded")
    return data[:size]


def _take_in(kind: bytes, data: bytes, pending: _Pending) -> None:
    if kind == _PAX_FOR_ALL:
        if {"path", "size", "linkpath"} & _records(data).keys():
            raise ValueError("an extended header renames or resizes every member")
        return
    if pending.seen:
        raise ValueError("a member has two extended headers")
    pending.seen = True
    if kind == _PAX:
        pending.records = _records(data)
        return
    pending.long_name, _, behind = data.partition(b"\0")
    if behind.strip(b"\0"):
        raise ValueError("something is hidden behind the long name")


def _records(data: bytes) -> dict[str, str]:
    """The records of an extended header; tarfile passes over what it cannot read."""
    records: dict[str, str] = {}
    position = 0
    while position < len(data):
        match = _RECORD.match(data, position)
        end = position + int(match[1]) if match else 0
        if match is None or end > len(data) or end <= match.end() or data[end - 1 : end] != b"\n":
            raise ValueError("an extended header is damaged")
        key = match[2].decode("utf-8", "replace")
        if key in records:
            raise ValueError(f"an extended header has {key!r} twice")
        if key.startswith("GNU.sparse.") or key == "hdrcharset":
            raise ValueError(f"an extended header has {key!r}, which model archives do not need")
        # Only these two matter; extended attributes may be any bytes.
        strict = "strict" if key in {"path", "size"} else "replace"
        records[key] = data[match.end() : end - 1].decode("utf-8", strict)
        position = end
    return records


def _entry(header: tarfile.TarInfo, pending: _Pending, offset: int) -> TarEntry:
    name = pending.records.get("path")
    if name is None:
        raw = header.name.encode("utf-8", "surrogateescape")
        name = (raw if pending.long_name is None else pending.long_name).decode("utf-8")
    folder = header.type == _FOLDER  # tarfile has made one of an old file called a folder
    if header.type == _OLD_FILE and name.endswith("/"):
        raise ValueError("readers differ in whether the member is a folder")
    size = _agreed_size(header.size, pending.records.get("size"))
    shown = name.rstrip("/") or name
    fault = _kind_fault(header.type, shown)
    if fault is None and folder and size:
        fault = finding("MAR-A122", f"The folder holds {size:,} bytes of its own.", member=shown)
    if fault is None and not folder and name.endswith("/"):
        fault = finding("MAR-A121", "The member is a file with the name of a folder.", member=shown)
    return TarEntry(name=shown, size=size, offset=offset, folder=folder, fault=fault)


def _agreed_size(told: int, text: str | None) -> int:
    """The size of a member that an extended header may speak of too."""
    if text is None:
        return told
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError("an extended header's size is no number")
    too_large_for_octal = int(text) > _MOST_OCTAL and told in {0, _MOST_OCTAL}
    if int(text) != told and not too_large_for_octal:
        raise ValueError("two headers give the member different sizes")
    return int(text)


def _kind_fault(kind: bytes, name: str) -> Finding | None:
    if kind in {_FILE, _OLD_FILE, _FOLDER}:
        return None
    if kind in _LINKS:
        return finding("MAR-A120", f"The member is {_LINKS[kind]}.", member=name)
    what = _SPECIAL.get(kind, f"of the unknown kind {kind!r}")
    return finding("MAR-A121", f"The member is {what}.", member=name)


def _check_end(file: ArchiveFile, tar: BinaryIO, position: int, pending: _Pending) -> None:
    if _read(tar, position, 2 * BLOCK) != bytes(2 * BLOCK):
        raise file.refuse("MAR-A204", "The tar does not end with two blocks of zeros.")
    if pending.seen:
        raise file.refuse("MAR-A205", "The last extended header describes no member.")
    while rest := tar.read(CHUNK):
        if _has_content(rest):
            raise file.refuse("MAR-A204", "Something follows the end of the tar.")


def _read(tar: BinaryIO, position: int, length: int) -> bytes:
    tar.seek(position)
    return tar.read(length)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _has_content(data: bytes) -> bool:
    return data.count(0) != len(data)
