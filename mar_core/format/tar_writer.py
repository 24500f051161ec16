"""Writes the members of an archive as a gzipped tar, under a folder of the model's name."""

from __future__ import annotations

import struct
import tarfile
from typing import TYPE_CHECKING, Any, cast

from mar_core.errors import ArchiveError
from mar_core.format.dates import epoch
from mar_core.format.deflate import packer
from mar_core.format.digests import HashingReader, changed, quiet, write_at
from mar_core.format.sources import open_content, size_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.format.digests import Digests
    from mar_core.format.sources import Content

__all__ = ["TgzWriter"]

BLOCK = 1 << 18
# No name, no flags, no time, the operating system unknown.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


class TgzWriter:
    """Appends members to a gzipped tar.

    Args:
        target: Descriptor to write to.
        prefix: The folder that everything lies in.
        progress: Told the bytes done since it was last called.
    """

    def __init__(
        self, target: int, *, prefix: str, progress: Callable[[int], None] = quiet
    ) -> None:
        self._prefix = prefix
        self._progress = progress
        self._gzip = _Gzip(target)
        self._tar = tarfile.open(  # noqa: SIM115 - closed by close
            fileobj=cast("Any", self._gzip), mode="w|", bufsize=BLOCK
        )
        self._time = epoch()

    def add(self, name: str, content: Content) -> Digests:
        """Append one member.

        Raises:
            ArchiveError: It cannot be read, or changes meanwhile.
            OSError: The target cannot take it.
        """
        info = tarfile.TarInfo(f"{self._prefix}/{name}")
        info.size, info.mtime, info.mode = size_of(content), self._time, 0o644
        with open_content(content) as stream:
            reader = HashingReader(stream, self._progress)
            try:
                self._tar.addfile(info, cast("Any", reader))
            except (tarfile.TarError, EOFError) as error:
                raise ArchiveError(f"{name} cannot be put into a tar: {error}.") from error
            if stream.read(1):
                raise changed(str(content))
        return reader.digests()

    def close(self) -> None:
        """Write the end of the tar and of the gzip."""
        self._tar.close()
        self._gzip.close()


class _Gzip:
    """A gzip stream whose bytes depend on nothing but what is written to it."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._packer = packer()
        self._crc = 0
        self._size = 0
        self._offset = 0
        self._put(_GZIP_HEADER)

    def write(self, data: bytes) -> int:
        """Take the next bytes of the tar."""
        from zlib_ng import zlib_ng

        self._crc = zlib_ng.crc32(data, self._crc)
        self._size += len(data)
        self._put(self._packer.compress(data))
        return len(data)

    def close(self) -> None:
        """Write what is left, and the trailer."""
        self._put(self._packer.flush())
        self._put(struct.pack("<2L", self._crc, self._size & 0xFFFFFFFF))

    def _put(self, data: bytes) -> None:
        write_at(self._target, data, self._offset)
        self._offset += len(data)
