"""The gzip stream around a tar: one member, read to its very end, never more than allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.format.reader_file import CHUNK
from mar_core.format.reader_inflate import GZIP, Inflater

if TYPE_CHECKING:
    from mar_core.format.limits import Limits
    from mar_core.format.reader_file import ArchiveFile

__all__ = ["GzipReader"]


class GzipReader:
    """Reads an archive's gzip stream from front to back.

    Args:
        file: The archive.
        limits: How much it may unpack to.

    Attributes:
        position: How many unpacked bytes have been read.
    """

    def __init__(self, file: ArchiveFile, limits: Limits) -> None:
        self._file, self._limits = file, limits
        self._inflater = Inflater(self._fetch, form=GZIP)
        self._fetched = 0
        self._allowed = limits.total(file.size)
        self.position = 0

    def read(self, length: int) -> bytes:
        """Up to ``length`` bytes; fewer only at the end of the stream.

        Raises:
            ValidationError: The stream is damaged, cut off, followed by something, or too long.
        """
        data = self._some(length)
        while data and len(data) < length:
            more = self._some(length - len(data))
            if not more:
                break
            data += more
        return data

    def skip(self, length: int) -> int:
        """Read and forget; returns how many bytes there were."""
        left = length
        while left:
            data = self._some(min(left, CHUNK))
            if not data:
                break
            left -= len(data)
        return length - left

    def _some(self, length: int) -> bytes:
        try:
            data = self._inflater.read(length)
        except ValueError as error:
            raise self._file.refuse("MAR-A201", f"The gzip stream is damaged: {error}.") from error
        self._count(len(data))
        if self._inflater.ended:
            self._check_end()
        elif length and not data:
            message = f"The file was cut off at byte {self._file.size:,}; the rest is missing."
            raise self._file.refuse("MAR-A005", message)
        return data

    def _fetch(self, length: int) -> bytes:
        data = self._file.read_at(self._fetched, length)
        self._fetched += len(data)
        return data

    def _count(self, length: int) -> None:
        self.position += length
        if self.position <= self._allowed:
            return
        large = self._limits.too_large(self.position, self._file.size)
        if large is not None:
            raise self._file.refuse(large.code, large.message)

    def _check_end(self) -> None:
        after = self._inflater.unused or self._file.read_at(self._fetched, 2)
        if after.startswith(b"\x1f\x8b"):
            raise self._file.refuse("MAR-A202", "A second gzip stream follows the first.")
        if after:
            raise self._file.refuse("MAR-A202", "Something follows the gzip stream.")
