"""Copies bytes into an archive and takes their CRC-32 and SHA-256 on the way."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mar_core.errors import ArchiveError
from mar_core.format.file import CHUNK
from mar_core.format.sources import open_content

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from mar_core.format.sources import Content

__all__ = [
    "Digests", "HashingReader", "copy", "copy_range", "digests_of", "quiet", "source_changed",
    "write_at",
]  # fmt: skip

BUFFERS = 4
# So much is written before the disk is asked to begin; what is left to flush at the end is small.
FLUSHED = 64 << 20
# What copy_file_range answers where two file systems, or one, cannot do it.
_CANNOT = {errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}


@dataclass(frozen=True, slots=True)
class Digests:
    """What identifies a member's bytes."""

    size: int
    crc: int
    sha256: str


def quiet(_count: int) -> None:
    """Takes progress in bytes and tells nobody."""


def digests_of(data: bytes) -> Digests:
    """The digests of bytes that are in memory."""
    from zlib_ng import zlib_ng

    return Digests(len(data), zlib_ng.crc32(data), hashlib.sha256(data).hexdigest())


def copy(
    content: Content,
    target: int,
    *,
    offset: int,
    size: int,
    progress: Callable[[int], None] = quiet,
) -> Digests:
    """Copy a member into an open file, digesting exactly the bytes that are written.

    A file is copied by the kernel, which shares the blocks where the file system can. Memory does
    not grow with the size.

    Args:
        content: What to copy.
        target: Descriptor to write to and to read back from.
        offset: Where the first byte goes.
        size: How many bytes there must be.
        progress: Told the bytes done since it was last called.

    Raises:
        ArchiveError: The content cannot be read, or has not ``size`` bytes any more.
    """
    with open_content(content) as stream:
        if not isinstance(content, Path):
            digests = _copy(_Stream(stream, target), offset, size, progress)
            whole = digests.size == size
        else:
            digests = _copy(_File(stream.fileno(), target), offset, size, progress)
            whole = digests.size == size == os.fstat(stream.fileno()).st_size
    if not whole:
        raise source_changed(str(content))
    return digests


def source_changed(what: str) -> ArchiveError:
    """The error for a source that somebody else writes to."""
    return ArchiveError(f"{what} changed while it was being read.", hint="Try again.")


def write_at(target: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of it; a short write is followed up, so that a full disk shows as an error."""
    view = memoryview(data)
    while view:
        count = os.pwrite(target, view, offset)
        view, offset = view[count:], offset + count


class HashingReader:
    """A stream that digests what is read from it.

    Args:
        stream: Where the bytes come from.
        progress: Told the bytes read since it was last called.
    """

    def __init__(self, stream: BinaryIO, progress: Callable[[int], None] = quiet) -> None:
        self._stream = stream
        self._progress = progress
        self._sha = hashlib.sha256()
        self._crc = 0
        self._size = 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        from zlib_ng import zlib_ng

        data = self._stream.read(size)
        self._sha.update(data)
        self._crc = zlib_ng.crc32(data, self._crc)
        self._size += len(data)
        self._progress(len(data))
        return data

    def digests(self) -> Digests:
        """The digests of everything read so far."""
        return Digests(self._size, self._crc, self._sha.hexdigest())


def _copy(
    move: _File | _Stream, offset: int, size: int, progress: Callable[[int], None]
) -> Digests:
    """Move span after span; meanwhile one thread hashes the last and one flushes the older."""
    from zlib_ng import zlib_ng

    sha, crc, done = hashlib.sha256(), 0, 0
    buffers = [memoryview(bytearray(min(CHUNK, size))) for _ in range(BUFFERS)]
    pending: list[Future[None]] = []
    with ThreadPoolExecutor(1, "mar-sha256") as pool, _Flusher(move.target) as flusher:
        for buffer in itertools.cycle(buffers):
            if len(pending) == BUFFERS:
                pending.pop(0).result()
            count = move(buffer[: size - done], done, offset + done)
            if count == 0:
                break
            chunk = buffer[:count]
            pending.append(pool.submit(sha.update, chunk))
            crc = zlib_ng.crc32(chunk, crc)
            done += count
            flusher.note(done)
            progress(count)
    return Digests(done, crc, sha.hexdigest())


class _Flusher:
    """Has the disk write while the rest is still being copied."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._pool = ThreadPoolExecutor(1, "mar-flush")
        self._running: Future[None] | None = None
        self._flushed = 0

    def note(self, done: int) -> None:
        """Begin to flush where enough has been written; an error of the disk comes out here."""
        if done - self._flushed >= FLUSHED and (self._running is None or self._running.done()):
            if self._running is not None:
                self._running.result()
            self._running, self._flushed = self._pool.submit(os.fsync, self._target), done

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        if self._running is not None:
            self._running.result()


class _File:
    """Moves one span at a time, and gives back the bytes that are now in the target."""

    def __init__(self, source: int, target: int) -> None:
        self._source = source
        self.target = target
        self._in_kernel = True

    def __call__(self, buffer: memoryview, at: int, to: int) -> int:
        if self._in_kernel and buffer:
            count = copy_range(self._source, self.target, len(buffer), at, to)
            if count:
                return os.preadv(self.target, [buffer[:count]], to)
            self._in_kernel = False
        count = os.preadv(self._source, [buffer], at)
        write_at(self.target, buffer[:count], to)
        return count


class _Stream:
    """Moves one span at a time from something that can only be read."""

    def __init__(self, source: BinaryIO, target: int) -> None:
        self._source = source
        self.target = target

    def __call__(self, buffer: memoryview, _at: int, to: int) -> int:
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        write_at(self.target, data, to)
        return len(data)


def copy_range(source: int, target: int, count: int, at: int, to: int) -> int:
    """Let the kernel copy up to ``count`` bytes; 0 at the end, or where it cannot."""
    if not hasattr(os, "copy_file_range"):
        return 0
    try:
        return os.copy_file_range(source, target, count, at, to)
    except OSError as error:
        if error.errno in _CANNOT:
            return 0
        raise
