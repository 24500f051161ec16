"""Reading a file of weights: what that may cost, and streams over parts of it.

Every walker charges the allowance as it goes.
"""

from __future__ import annotations

import io
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from mar_core.format.file import CHUNK
from mar_core.format.limits import spend

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ALLOWANCE", "Allowance", "TooCostlyError", "seekable", "window"]

_IN_MEMORY = 8 << 20
# Bytes looked at; parsing that costs more than reading is charged as more bytes. About 2 seconds.
ALLOWANCE = 256 << 20


class TooCostlyError(Exception):
    """The allowance is used up."""


class Allowance:
    """What is left to be spent on one archive.

    Args:
        size: How many bytes.
    """

    def __init__(self, size: int = ALLOWANCE) -> None:
        self.left = size

    def spend(self, size: int, /) -> None:
        """Charge bytes that are about to be read, or work that costs as much.

        Args:
            size: How many bytes.

        Raises:
            TooCostlyError: There is not so much left.
            TooCostly: The time for the archive is over.
        """
        spend(size >> 10 or 1)  # the time for all that looks at the archive
        self.left -= size
        if self.left < 0:
            raise TooCostlyError


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


@contextmanager
def seekable(stream: BinaryIO, *, budget: Allowance | None = None) -> Iterator[BinaryIO]:
    """A stream over the same bytes that can be read in any order.

    What cannot be read in any order, such as a deflated member, is copied to a nameless temporary
    file; small ones stay in memory.

    Args:
        stream: The bytes.
        budget: What copying them may cost.
    """
    if stream.seekable():
        yield io.BufferedReader(stream) if isinstance(stream, io.RawIOBase) else stream
        return
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as copy:
        while chunk := stream.read(CHUNK):
            if budget is not None:
                budget.spend(len(chunk))
            copy.write(chunk)
        copy.seek(0)
        yield copy  # type: ignore[misc]
