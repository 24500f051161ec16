"""Copies bytes into an archive and takes their CRC-32 and SHA-256 on the way."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mar_core.errors import ArchiveError
from mar_core.format.file import CHUNK
from mar_core.format.sources import open_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from mar_core.format.sources import Content

__all__ = [
    "Digests", "HashingReader", "begin_flush", "copy", "digests_of", "quiet", "source_changed",
    "unchanging", "write_at",
]  # fmt: skip

BUFFERS = 4
# So much is written before the disk is asked to begin; what is left to flush at the end is small.
FLUSHED = 8 << 20
# For a larger write Linux looks for so much memory in one piece, which takes long where it is rare.
_WRITTEN_AT_ONCE = 1 << 17
# Linux's numbers: of an ioctl that makes two files share blocks, and of what begins to flush.
_FICLONERANGE = 0x4020940D
_SYNC_FILE_RANGE_WRITE = 2


@dataclass(frozen=True, slots=True)
class Digests:
    """What identifies a member's bytes."""

    size: int
    crc: int
    sha256: str


def quiet(_count: int) -> None:
    """Takes progress in bytes and tells nobody."""


def digests_of(data: bytes | memoryview) -> Digests:
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

    Where the file system can, the target shares the blocks of a file, and nothing is written.
    Memory does not grow with the size.

    Args:
        content: What to copy.
        target: Descriptor to write to and to read back from.
        offset: Where the first byte goes.
        size: How many bytes there must be.
        progress: Told the bytes done since it was last called.

    Raises:
        ArchiveError: The content cannot be read, or has not ``size`` bytes any more.
    """
    with unchanging(content, size) as stream:
        source = _Source(stream, target, offset)
        if isinstance(content, Path) and size > CHUNK:
            source.shared = _share_blocks(stream.fileno(), target, offset)
        digests = (_copy if size > CHUNK else _copy_at_once)(source, size, progress)
        if digests.size != size:
            raise source_changed(str(content))
    return digests


@contextlib.contextmanager
def unchanging(content: Content, size: int) -> Iterator[BinaryIO]:
    """A stream over a member's bytes, at whose end it is known that nobody wrote to them meanwhile.

    Args:
        content: What to read.
        size: How many bytes there must be.

    Raises:
        ArchiveError: The content cannot be read; it is a file of another size, or its time of
            modification is another one at the end than at the beginning.
    """
    with open_content(content) as stream:
        if not isinstance(content, Path):
            yield stream
            return
        before = os.fstat(stream.fileno())
        yield stream
        after = os.fstat(stream.fileno())
    if after.st_size != size or after.st_mtime_ns != before.st_mtime_ns:
        raise source_changed(str(content))


def source_changed(what: str) -> ArchiveError:
    """The error for a source that somebody else writes to."""
    return ArchiveError(f"{what} changed while it was being read.", hint="Try again.")


def write_at(target: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of it; a short write is followed up, so that a full disk shows as an error."""
    view = memoryview(data)
    while view:
        count = os.pwrite(target, view[:_WRITTEN_AT_ONCE], offset)
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


class _Source:
    """Gives the bytes piece by piece, and sees that they get into the target."""

    def __init__(self, stream: BinaryIO, target: int, offset: int) -> None:
        self._stream: Any = stream  # all that mar opens can read into a buffer
        self.target = target
        self.offset = offset
        self.shared = False

    def read(self, buffer: memoryview, done: int) -> int:
        """Fill a buffer with what comes next; 0 at the end."""
        if self.shared:  # what is in the archive, whatever becomes of the source
            return os.preadv(self.target, [buffer], self.offset + done)
        return int(self._stream.readinto(buffer))

    def write(self, chunk: memoryview, done: int) -> None:
        if not self.shared:
            write_at(self.target, chunk, self.offset + done)


def _copy(source: _Source, size: int, progress: Callable[[int], None]) -> Digests:
    """Copy chunk after chunk; one thread hashes them meanwhile, and the disk begins with them."""
    from concurrent.futures import ThreadPoolExecutor

    from zlib_ng import zlib_ng

    sha, crc, done, flushed = hashlib.sha256(), 0, 0, 0
    pending: list[Future[None]] = []
    with ThreadPoolExecutor(1, "mar-sha256") as pool:
        for buffer in itertools.cycle([memoryview(bytearray(CHUNK)) for _ in range(BUFFERS)]):
            if len(pending) == BUFFERS:
                pending.pop(0).result()
            count = source.read(buffer[: size - done], done)
            if count == 0:
                break
            chunk = buffer[:count]
            pending.append(pool.submit(sha.update, chunk))
            crc = zlib_ng.crc32(chunk, crc)
            source.write(chunk, done)
            done += count
            if done - flushed >= FLUSHED:
                begin_flush(source.target, source.offset + flushed, done - flushed)
                flushed = done
            progress(count)
    return Digests(done, crc, sha.hexdigest())


def _copy_at_once(source: _Source, size: int, progress: Callable[[int], None]) -> Digests:
    buffer, done = memoryview(bytearray(size)), 0
    while done < size and (count := source.read(buffer[done:], done)):
        done += count
    source.write(buffer[:done], 0)
    progress(done)
    return digests_of(buffer[:done])


def _share_blocks(source: int, target: int, offset: int) -> bool:
    """Let a target have the blocks of a whole file, as btrfs and XFS can; False where it cannot."""
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONERANGE, struct.pack("=qQQQ", source, 0, 0, offset))
    except OSError:  # of a disk that is full, the copy will say so
        return False
    return True


def begin_flush(target: int, offset: int, count: int) -> None:
    """Have the disk begin with bytes that were written; that they are there, only fsync says.

    Args:
        target: Descriptor that they were written to.
        offset: Where the first one is.
        count: How many.
    """
    sync = _sync_file_range()
    if sync is not None:
        sync(target, offset, count, _SYNC_FILE_RANGE_WRITE)


@functools.cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """Linux's, which Python does not wrap; None elsewhere."""
    import ctypes

    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return function
