"""Streams over single members: bounded by the declared size, inflated and checked on the way."""

from __future__ import annotations

import functools
import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from zlib_ng import zlib_ng

from mar_core.format.budget import spend
from mar_core.format.file import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from mar_core.findings import ValidationError
    from mar_core.format.file import ArchiveFile

__all__ = ["GZIP", "RAW", "Expected", "Inflater", "inflated", "stored"]

RAW = -zlib_ng.MAX_WBITS
GZIP = 16 + zlib_ng.MAX_WBITS
_PIECE = 64 << 10  # what is left of a piece is copied on every call


class Inflater:
    """Inflates what it fetches.

    Args:
        fetch: Returns the next deflated bytes, at most so many; empty at their end.
        form: ``RAW`` or ``GZIP``.
    """

    def __init__(self, fetch: Callable[[int], bytes], *, form: int) -> None:
        self._fetch = fetch
        self._inflater = zlib_ng.decompressobj(form)
        self._pending = b""

    @property
    def ended(self) -> bool:
        """Whether the deflated data have come to their own end."""
        return self._inflater.eof

    @property
    def unused(self) -> bytes:
        """What was fetched beyond that end."""
        return self._inflater.unused_data

    def read(self, length: int) -> bytes:
        """The next inflated bytes, at most so many; empty when no more can be had.

        Raises:
            ValueError: The deflated data are damaged.
        """
        while length and not self.ended:
            if not self._pending:
                self._pending = self._fetch(_PIECE)
            starved = not self._pending
            try:
                data = self._inflater.decompress(self._pending, length)
            except zlib_ng.error as error:  # type: ignore[misc]  # the stubs call it a value
                raise ValueError(str(error)) from error
            self._pending = self._inflater.unconsumed_tail
            if data or starved:
                return data
        return b""


# Small, because the headers of weights lie far apart; longer reads go past the buffer.
BUFFER = 16 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a member must turn out to be.

    Attributes:
        member: Its name.
        size: Its length in bytes, unpacked.
        crc: Its CRC-32, or None where the container has none.
        sha256: Its SHA-256 in hex, or None where the manifest has none.
    """

    member: str
    size: int
    crc: int | None = None
    sha256: str | None = None


def stored(
    file: ArchiveFile, expected: Expected, fetch: Callable[[int, int], bytes], *, offset: int
) -> BinaryIO:
    """A seekable stream over bytes that lie somewhere as they are.

    What is read from the start to the end is checked at the end; after jumps nothing is.

    Args:
        file: The archive, which errors name.
        expected: What the bytes must be.
        fetch: Returns bytes from a place on, at most so many.
        offset: The place where the member begins.
    """
    return _buffered(_Plain(_Check(file, expected), fetch, offset), expected.size)


def inflated(
    file: ArchiveFile, expected: Expected, *, offset: int, compressed_size: int
) -> BinaryIO:
    """A stream over a deflated member, from start to end."""
    raw = _Inflated(_Check(file, expected), file, offset, offset + compressed_size)
    return _buffered(raw, expected.size)


def _buffered(raw: io.RawIOBase, size: int) -> BinaryIO:
    return io.BufferedReader(raw, min(BUFFER, max(size, 512)))


class _Check:
    """Compares what comes by with what was expected."""

    def __init__(self, file: ArchiveFile, expected: Expected) -> None:
        self.file, self.expected = file, expected
        self.seen = 0
        self._crc = 0
        self._sha256 = hashlib.sha256() if expected.sha256 is not None else None

    def update(self, data: Buffer) -> None:
        """Take in the next bytes, and judge after the last.

        Raises:
            ValidationError: The whole differs from what was expected.
        """
        count = memoryview(data).nbytes
        self.seen += count
        spend(1 + (count >> 10))
        if self.expected.crc is not None:
            self._crc = zlib_ng.crc32(data, self._crc)
        if self._sha256 is not None:
            self._sha256.update(data)
        if self.seen == self.expected.size:
            self._judge()

    def refuse(self, code: str, message: str) -> ValidationError:
        return self.file.refuse(code, message, member=self.expected.member)

    def _judge(self) -> None:
        if self.expected.crc is not None and self._crc != self.expected.crc:
            raise self.refuse("MAR-A130", "The content is damaged: its CRC-32 differs.")
        if self._sha256 is not None and self._sha256.hexdigest() != self.expected.sha256:
            message = "The content is not what the manifest has the SHA-256 of."
            raise self.refuse("MAR-A133", message)


class _Content(io.RawIOBase):
    """The content of a member, in pieces that are checked."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._piece(len(view))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return b"".join(iter(functools.partial(self._piece, CHUNK), b""))

    def _piece(self, most: int) -> bytes:
        """The next bytes, at most so many; empty at the end."""
        raise NotImplementedError


class _Plain(_Content):
    def __init__(self, check: _Check, fetch: Callable[[int, int], bytes], offset: int) -> None:
        self._check, self._fetch, self._offset = check, fetch, offset
        self._size = check.expected.size
        self._position = 0
        if self._size == 0:
            check.update(b"")

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"negative seek position {start + offset}")
        self._position = start + offset
        return self._position

    def _piece(self, most: int) -> bytes:
        wanted = min(most, self._size - self._position)
        if wanted <= 0:
            return b""
        data = self._fetch(self._offset + self._position, wanted)
        if not data:
            raise self._check.refuse("MAR-A005", "The file has become shorter while it was read.")
        if self._position == self._check.seen:
            self._check.update(data)
        self._position += len(data)
        return data


class _Inflated(_Content):
    def __init__(self, check: _Check, file: ArchiveFile, start: int, end: int) -> None:
        self._check, self._file = check, file
        self._position, self._end = start, end
        self._inflater = Inflater(self._fetch, form=RAW)
        if check.expected.size == 0:
            self._finish()
            check.update(b"")

    def _piece(self, most: int) -> bytes:
        left = self._check.expected.size - self._check.seen
        wanted = min(most, left)
        if wanted == 0:
            return b""
        data = self._next(wanted)
        if not data:
            code = "MAR-A131" if self._inflater.ended else "MAR-A132"
            raise self._check.refuse(code, f"The content ends {left:,} bytes too early.")
        if len(data) == left:
            self._finish()
        self._check.update(data)
        return data

    def _fetch(self, length: int) -> bytes:
        data = self._file.read_at(self._position, min(length, self._end - self._position))
        self._position += len(data)
        return data

    def _next(self, wanted: int) -> bytes:
        try:
            return self._inflater.read(wanted)
        except ValueError as error:
            raise self._check.refuse(
                "MAR-A132", f"The deflated content is damaged: {error}."
            ) from error

    def _finish(self) -> None:
        """After the last byte, the deflated data must end too, and take all of its place."""
        if self._next(1):
            raise self._check.refuse("MAR-A131", "The content is longer than its declared size.")
        unused = len(self._inflater.unused) + self._end - self._position
        if not self._inflater.ended:
            raise self._check.refuse("MAR-A132", "The deflated content has no end.")
        if unused:
            message = f"{unused:,} bytes are hidden behind the deflated content."
            raise self._check.refuse("MAR-A131", message)
