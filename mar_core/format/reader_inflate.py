"""Inflating piece by piece: never more than was asked for, whatever the data would become."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zlib_ng import zlib_ng

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GZIP", "RAW", "Inflater"]

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
