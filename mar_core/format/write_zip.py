"""Writes the members of an archive as a zip whose members begin on page boundaries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.format.contents import open_content, size_of
from mar_core.format.dates import zip_date
from mar_core.format.deflate import deflated, is_text
from mar_core.format.digests import copy, digests_of, quiet, write_at
from mar_core.format.zip_layout import NewEntry, central_directory, data_start, local_header
from mar_core.format.zip_records import DEFLATED, STORED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mar_core.format.contents import Content
    from mar_core.format.digests import Digests

__all__ = ["ZipWriter"]


class ZipWriter:
    """Appends members to a zip, in one pass over each.

    Args:
        target: Descriptor to write to.
        deflate: Deflate texts; otherwise everything is stored.
        serialized: The member that holds the weights, which is never deflated.
        entries: Members that are in the file already, from its start.
        offset: Where the next member goes.
        progress: Told the bytes done since it was last called.
    """

    def __init__(
        self,
        target: int,
        *,
        deflate: bool,
        serialized: str | None,
        entries: Iterable[NewEntry] = (),
        offset: int = 0,
        progress: Callable[[int], None] = quiet,
    ) -> None:
        self._target = target
        self._deflate = deflate
        self._serialized = serialized
        self._entries = list(entries)
        self._offset = offset
        self._progress = progress
        self._date = zip_date()

    def add(self, name: str, content: Content) -> Digests:
        """Append one member.

        Raises:
            ArchiveError: It cannot be read, or changes meanwhile.
            OSError: The target cannot take it.
        """
        if self._deflate and name != self._serialized and is_text(content):
            with open_content(content) as stream:
                data = stream.read()
            packed = deflated(data)
            if len(packed) < len(data):
                return self._add_deflated(name, data, packed)
            content = data
        return self._add_stored(name, content)

    def close(self) -> None:
        """Write the directory behind the last member."""
        write_at(self._target, central_directory(self._entries, self._offset), self._offset)

    def _add_deflated(self, name: str, data: bytes, packed: bytes) -> Digests:
        start = data_start(name, self._offset, size=len(data))
        write_at(self._target, packed, start)
        self._progress(len(data))
        return self._put_header(name, digests_of(data), DEFLATED, start, len(packed))

    def _add_stored(self, name: str, content: Content) -> Digests:
        size = size_of(content)
        start = data_start(name, self._offset, size=size)
        digests = copy(content, self._target, offset=start, size=size, progress=self._progress)
        return self._put_header(name, digests, STORED, start, size)

    def _put_header(
        self, name: str, digests: Digests, method: int, start: int, length: int
    ) -> Digests:
        """Write the header before the bytes, now that their digests are known."""
        entry = NewEntry(
            name=name,
            size=digests.size,
            compressed_size=length,
            crc=digests.crc,
            method=method,
            offset=self._offset,
            date=self._date,
        )
        write_at(self._target, local_header(entry), self._offset)
        self._entries.append(entry)
        self._offset = start + length
        return digests
