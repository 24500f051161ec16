"""A stretch of a file as a file of its own."""

from __future__ import annotations

import io
from typing import BinaryIO, cast

__all__ = ["window"]


class _Window(io.RawIOBase):
    def __init__(self, stream: BinaryIO, start: int, length: int) -> None:
        self._stream = stream
        self._start = start
        self._length = length
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = max(0, min(len(buffer), self._length - self._position))
        self._stream.seek(self._start + self._position)
        data = self._stream.read(count)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def window(stream: BinaryIO, *, start: int, length: int) -> BinaryIO:
    """A read-only view of part of a seekable stream.

    Args:
        stream: The whole; it must not be used by others while the view is read.
        start: Where the part begins.
        length: How many bytes it has.
    """
    return cast("BinaryIO", io.BufferedReader(_Window(stream, start, length)))
