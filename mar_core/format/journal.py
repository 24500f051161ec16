"""Changes the end of a file in place, so that a crash at any moment leaves the old or the new one.

What the end will be is written down first, in a journal beside the file: a line that says what for,
and the bytes. The change counts from when the journal has its name. Who finds one, because the
process that wrote it was killed, does what it says, again from its beginning, and removes it. A
journal that belongs to another file, as after both were copied, changes nothing; nor does one of
somebody who could not write to the file itself, as anybody may put one into a shared folder.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mar_core.errors import ArchiveError

# Whoever opens an archive imports this module; what writes is imported by those who write.

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["journal_of", "replace_end", "take_up"]

_CHUNK = 1 << 20
_LONGEST_LINE = 4096
_SUFFIX = ".mar-journal"


def journal_of(path: Path) -> Path:
    """Where the journal of a file is, if it has one."""
    folder, name = os.path.split(os.path.realpath(path))
    return Path(folder, f".{name}{_SUFFIX}")


def replace_end(target: Path, start: int, end: Iterable[bytes], *, size: int) -> None:
    """Replace everything of a file from a place on.

    Args:
        target: The file.
        start: How many bytes stay.
        end: The bytes that follow them.
        size: How many those are.

    Raises:
        ArchiveError: They cannot be written; the file is as it was.
    """
    from mar_core.format.atomic import new_file
    from mar_core.format.digests import write_at

    journal = journal_of(target)
    status = target.stat()
    told = {
        "file": [status.st_dev, status.st_ino],
        "start": start,
        "head": _head(target, start),
        "size": size,
    }
    with new_file(journal, force=True, needed=size) as partial:
        line = json.dumps(told).encode() + b"\n"
        write_at(partial.descriptor, line, 0)
        at, digest = len(line), hashlib.sha256(line)
        for piece in end:
            write_at(partial.descriptor, piece, at)
            digest.update(piece)
            at += len(piece)
        write_at(partial.descriptor, digest.digest(), at)
    try:
        _carry_out(journal, target)
    except OSError as error:
        raise ArchiveError(
            f"The update of {target} could not be finished: {error.strerror}.",
            hint="Once that is mended, whatever opens the archive with mar finishes it.",
        ) from error


def take_up(path: Path) -> None:
    """Finish what a killed process has begun with a file, if there is such a thing.

    Raises:
        ArchiveError: There is, and the file cannot be written to.
    """
    journal = journal_of(path)
    if not os.path.lexists(journal):
        return
    from mar_core.format.locks import alone

    with alone(path):
        target = path.resolve()
        if os.path.lexists(journal):  # whoever had the file to itself may have finished
            try:
                _carry_out(journal, target)
            except OSError as error:
                raise ArchiveError(
                    f"An update of {path} was cut off, and it cannot be finished here: "
                    f"{error.strerror}.",
                    hint="Open the archive once where its folder can be written to, for instance "
                    "with `mar validate`.",
                ) from error


def _carry_out(journal: Path, target: Path) -> None:
    """Do what a journal says, and remove it; one that is not for this file is left alone."""
    from mar_core.format.atomic import flush_folder
    from mar_core.format.digests import write_at

    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    status = target.stat()
    try:
        opened = os.open(journal, os.O_RDONLY | getattr(os, "O_BINARY", 0) | flags)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO, errno.ENOENT}:  # a link, a socket, or done
            return
        raise
    if not _is_trusted(os.fstat(opened), status):
        os.close(opened)
        return
    with os.fdopen(opened, "rb") as stream:
        told = _told(stream)
        if told is None or told["file"] != [status.st_dev, status.st_ino]:
            return
        start, size = told["start"], told["size"]
        if told["head"] != _head(target, start):
            return
        descriptor = os.open(target, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        try:
            at = start
            while at < start + size:
                piece = stream.read(min(_CHUNK, start + size - at))
                write_at(descriptor, piece, at)
                at += len(piece)
            os.ftruncate(descriptor, start + size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    journal.unlink()
    flush_folder(journal.parent)


def _is_trusted(journal: os.stat_result, target: os.stat_result) -> bool:
    """Whether who wrote the journal may change the file, and would do no more by it."""
    if not stat.S_ISREG(journal.st_mode):
        return False
    own = {0, target.st_uid, os.geteuid()} if hasattr(os, "geteuid") else {journal.st_uid}
    return journal.st_uid in own


def _told(stream: BinaryIO) -> dict[str, Any] | None:
    """The first line of a journal that is whole; the stream is at the bytes behind it."""
    digest = hashlib.sha256()
    line = stream.readline(_LONGEST_LINE)
    digest.update(line)
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        told: dict[str, Any] = json.loads(line)
        left = told["size"]
        if not all(type(told[key]) is int and told[key] >= 0 for key in ("start", "size")):
            return None
        _ = told["file"], told["head"]
        while piece := stream.read(min(_CHUNK, left)):
            digest.update(piece)
            left -= len(piece)
        if stream.read() == digest.digest():
            stream.seek(len(line))
            return told
    return None


def _head(target: Path, start: int) -> str:
    """What tells the part that stays from that of another file: its first and its last bytes."""
    with target.open("rb") as stream:
        first = stream.read(min(start, _CHUNK))
        stream.seek(max(0, start - _CHUNK))
        last = stream.read(min(start, _CHUNK))
    if len(last) < min(start, _CHUNK):
        raise OSError(errno.EIO, "the file is shorter than its journal says", os.fspath(target))
    return hashlib.sha256(first + last).hexdigest()
