"""The one descriptor through which an archive is read, from its check to its last byte."""

from __future__ import annotations

import errno
import os
import stat
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mar_core.errors import ArchiveError
from mar_core.format.codes import finding, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from mar_core.findings import ValidationError

__all__ = ["CHUNK", "ArchiveFile", "FileIdentity", "mapped"]

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What tells one file, as it was at one moment, from others and from itself after a change.

    Attributes:
        device: The file system that it is on.
        inode: Its number there; a file that is replaced by a rename has another one.
        size: Its length in bytes.
        modified: When it was last written to, in nanoseconds.
    """

    device: int
    inode: int
    size: int
    modified: int


class ArchiveFile:
    """A regular file open for reading at any place, by any thread.

    The path is opened once. What was checked is what is read, whatever becomes of the path.

    Args:
        path: The file.
        at: Where it is to be had, when another may have taken its path.

    Attributes:
        path: The file.
        size: Its length in bytes when it was opened.

    Raises:
        ArchiveError: It is not there or may not be read.
        ValidationError: It is no regular file.
    """

    def __init__(self, path: Path, *, at: Path | None = None) -> None:
        self.path = path
        self._descriptor = _open(at or path)
        self._lock = threading.Lock()
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise self.refuse("MAR-A004", "It is a device, a pipe or a socket, not a file.")
        self.size = status.st_size

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset``; fewer only at the end of the file.

        Raises:
            ArchiveError: The file is closed, or the disk does not give the bytes.
        """
        try:
            data = self._pread(offset, length)
            while 0 < len(data) < length:
                more = self._pread(offset + len(data), length - len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise ArchiveError(f"{self.path} cannot be read: {_reason(error)}.") from error
        return data

    def fileno(self) -> int:
        """The descriptor, for copying between files inside the kernel."""
        return self._descriptor

    @property
    def identity(self) -> FileIdentity:
        """What the file is now."""
        status = os.fstat(self._descriptor)
        return FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def refuse(self, code: str, message: str, *, member: str | None = None) -> ValidationError:
        """The error to raise for one fault of this archive."""
        return refusal(self.path, finding(code, message, member=member))

    def close(self) -> None:
        """Let go of the file; a second time does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _pread(self, offset: int, length: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, length, offset)
        with self._lock:  # Windows
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            return os.read(self._descriptor, length)


def mapped(descriptor: int, offset: int, size: int) -> memoryview:
    """Part of a file in memory, copied where it is written to; the descriptor may be closed."""
    import mmap  # by those who look at archives it is not needed

    if size == 0:
        return memoryview(bytearray())
    before = offset % mmap.ALLOCATIONGRANULARITY
    start, length = offset - before, before + size
    return memoryview(mmap.mmap(descriptor, length, offset=start, access=mmap.ACCESS_COPY))[before:]


def _open(path: Path) -> int:
    # Opening a named pipe would wait for a writer without O_NONBLOCK.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        return os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError as error:
        raise ArchiveError(
            f"There is no archive {str(path)!r}.", hint="Check the path and the spelling."
        ) from error
    except ValueError as error:  # a NUL in the path
        raise ArchiveError(f"{str(path)!r} is no path.") from error
    except OSError as error:
        if error.errno in {errno.ENXIO, errno.ENODEV}:  # a socket, or a device that is not there
            fault = finding("MAR-A004", "It is a device, a pipe or a socket, not a file.")
            raise refusal(path, fault) from error
        raise ArchiveError(f"{path} cannot be opened: {_reason(error)}.") from error


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
