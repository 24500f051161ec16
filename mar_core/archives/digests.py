"""Copies bytes into an archive and takes their CRC-32 and SHA-256 on the way."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from mar_core.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Digests", "HashingReader", "copy_file", "digests_of", "quiet", "write_at"]

CHUNK = 1 << 20
BUFFERS = 4
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


def copy_file(
    source: Path,
    target: int,
    *,
    offset: int,
    size: int,
    progress: Callable[[int], None] = quiet,
) -> Digests:
    """Copy a file into an open one at ``offset``, digesting exactly the bytes that are written.

    The kernel copies, or shares where the file system can, while a thread computes the SHA-256 of
    what was copied before; memory does not grow with the file.

    Args:
        source: The file to copy.
        target: Descriptor to write to and to read back from.
        offset: Where the first byte goes.
        size: How many bytes the file must have.
        progress: Told the bytes done since it was last called.

    Raises:
        ArchiveError: The file cannot be read, or no longer has ``size`` bytes.
    """
    from zlib_ng import zlib_ng

    sha, crc, done = hashlib.sha256(), 0, 0
    buffers = [memoryview(bytearray(min(CHUNK, max(size, 1)))) for _ in range(BUFFERS)]
    pending: list[Future[None]] = []
    with _open(source) as stream, ThreadPoolExecutor(1, "mar-sha256") as pool:
        move = _Mover(stream.fileno(), target)
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
            progress(count)
        changed = done != size or os.fstat(stream.fileno()).st_size != size
    if changed:
        raise ArchiveError(f"{source} changed while it was being read.", hint="Try again.")
    return Digests(size, crc, sha.hexdigest())


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


class _Mover:
    """Moves one span at a time, and gives back the bytes that are now in the target."""

    def __init__(self, source: int, target: int) -> None:
        self._source = source
        self._target = target
        self._in_kernel = hasattr(os, "copy_file_range")

    def __call__(self, buffer: memoryview, at: int, to: int) -> int:
        if self._in_kernel and buffer:
            try:
                count = os.copy_file_range(self._source, self._target, len(buffer), at, to)
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                count = 0
            if count:
                return os.preadv(self._target, [buffer[:count]], to)
            self._in_kernel = False
        count = os.preadv(self._source, [buffer], at)
        write_at(self._target, buffer[:count], to)
        return count


def _open(source: Path) -> BinaryIO:
    try:
        return cast("BinaryIO", source.open("rb", buffering=0))
    except OSError as error:
        raise ArchiveError(f"{source} cannot be read: {error.strerror}.") from error
