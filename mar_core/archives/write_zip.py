"""Writes the members of an archive as a zip whose members begin on page boundaries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.archives import layout
from mar_core.archives.digests import copy_file, digests_of, quiet, write_at
from mar_core.archives.zip_layout import (
    DEFLATED,
    STORED,
    Entry,
    central_directory,
    data_start,
    local_header,
)
from mar_core.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mar_core.archives.digests import Digests
    from mar_core.archives.sources import Sources

__all__ = ["ZipWriter", "write_zip"]


def write_zip(
    archive: Sources,
    target: int,
    finish: Callable[[dict[str, Digests]], bytes],
    *,
    deflate: bool,
    progress: Callable[[int], None] = quiet,
) -> None:
    """Write the whole zip.

    Args:
        archive: What goes in, in its order.
        target: Descriptor of an empty file.
        finish: Makes the manifest from the digests of the other members.
        deflate: Deflate texts; otherwise everything is stored.
        progress: Told the bytes done since it was last called.
    """
    writer = ZipWriter(target, deflate=deflate, serialized=archive.manifest.serialized_file)
    digests = {}
    for name, content in archive.contents.items():
        if name != MANIFEST_NAME:
            digests[name] = writer.add(name, content, progress=progress)
    writer.add(MANIFEST_NAME, finish(digests))
    writer.close()


class ZipWriter:
    """Appends members to a zip.

    Args:
        target: Descriptor to write to.
        deflate: Deflate texts.
        serialized: The member that is never deflated.
        entries: Members that are in the file already, from its start.
        offset: Where the next member goes.
    """

    def __init__(
        self,
        target: int,
        *,
        deflate: bool,
        serialized: str | None,
        entries: list[Entry] | None = None,
        offset: int = 0,
    ) -> None:
        self._target = target
        self._deflate = deflate
        self._serialized = serialized
        self._entries = list(entries or [])
        self._offset = offset
        self._date = layout.zip_date()

    def add(
        self, name: str, content: bytes | Path, *, progress: Callable[[int], None] = quiet
    ) -> Digests:
        """Append one member.

        Raises:
            ArchiveError: Its source cannot be read, or changes meanwhile.
            OSError: The target cannot take it.
        """
        if isinstance(content, bytes):
            return self._add_bytes(name, content, progress)
        size = content.stat().st_size
        if self._deflate and name != self._serialized and layout.is_deflated(content, size):
            return self._add_bytes(name, content.read_bytes(), progress)
        return self._add_stored(name, content, size, progress)

    def close(self) -> None:
        """Write the directory behind the last member."""
        write_at(self._target, central_directory(self._entries, self._offset), self._offset)

    def _add_bytes(self, name: str, data: bytes, progress: Callable[[int], None]) -> Digests:
        packed = layout.deflated(data) if self._deflate else data
        method = DEFLATED if len(packed) < len(data) else STORED
        body = packed if method == DEFLATED else data
        digests = digests_of(data)
        start = data_start(name, self._offset, size=len(data))
        write_at(self._target, body, start)
        self._finish(name, digests, len(body), method, start)
        progress(len(data))
        return digests

    def _add_stored(
        self, name: str, source: Path, size: int, progress: Callable[[int], None]
    ) -> Digests:
        start = data_start(name, self._offset, size=size)
        digests = copy_file(source, self._target, offset=start, size=size, progress=progress)
        self._finish(name, digests, size, STORED, start)
        return digests

    def _finish(
        self, name: str, digests: Digests, compressed: int, method: int, start: int
    ) -> None:
        """Write the header before the bytes, now that their digests are known."""
        entry = Entry(
            name=name,
            size=digests.size,
            compressed_size=compressed,
            crc=digests.crc,
            method=method,
            offset=self._offset,
            date=self._date,
        )
        write_at(self._target, local_header(entry), self._offset)
        self._entries.append(entry)
        self._offset = start + compressed
