"""Which archive files have been compared with their checksums: once for each file, and recorded.

A record is an empty file that is named after the archive file as it was: its place on the disk, its
size and its times, of which nobody can set the last. A file that has changed since has another
name, and is compared again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

from mar_core.cache.location import prepared_root
from mar_core.errors import ArchiveError
from mar_core.format.file import CHUNK, mapped

if TYPE_CHECKING:
    from pathlib import Path

    from mar_core.format.view import PackedArchive

__all__ = ["forget", "verify"]

_FOLDER = "verified-1"
_MOST = 1024


def verify(archive: PackedArchive, name: str) -> None:
    """Compare a member with its checksums, unless that has been done with this very file.

    Where no record can be kept, as on a read-only disk, it is compared each time.

    Args:
        archive: The archive, open.
        name: The member.

    Raises:
        ValidationError: The member is damaged.
    """
    record = _record(archive, name)
    if record is not None and record.exists():
        return
    if not _has_its_digest(archive, name):
        with archive.open(name) as stream:  # which says what is wrong, or has a CRC-32 alone
            while stream.read(CHUNK):
                pass
    # What was written to while it was read has another record now.
    if record is not None and record == _record(archive, name):
        with contextlib.suppress(OSError):
            record.touch(mode=0o600)
            _prune(record.parent)


def forget(place: Path) -> None:
    """Remove all records from a cache."""
    _prune(place / _FOLDER, most=0)


def _has_its_digest(archive: PackedArchive, name: str) -> bool:
    """Whether a stored member has the SHA-256 that the manifest gives; it is not copied for it."""
    member, expected = archive.members[name], archive.sha256_of(name)
    if expected is None or member.offset is None:
        return False
    view, digest = mapped(archive.file.fileno(), member.offset, member.size), hashlib.sha256()
    for start in range(0, member.size, CHUNK):
        digest.update(view[start : start + CHUNK])
    return digest.hexdigest() == expected


def _record(archive: PackedArchive, name: str) -> Path | None:
    status = os.fstat(archive.file.fileno())
    look = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    told = "\0".join((*map(str, look), name, archive.sha256_of(name) or ""))
    try:
        folder = prepared_root() / _FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
    except (ArchiveError, OSError):
        return None
    return folder / hashlib.sha256(told.encode()).hexdigest()


def _prune(folder: Path, *, most: int = _MOST) -> None:
    """Remove the oldest records."""
    with contextlib.suppress(OSError):
        records = sorted(os.scandir(folder), key=lambda one: one.stat().st_mtime)
        for one in records[: max(0, len(records) - most)]:
            os.unlink(one.path)  # noqa: PTH108 - what scandir gives
