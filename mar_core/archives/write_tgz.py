"""Writes the members of an archive as a gzipped tar, under a folder of the model's name."""

from __future__ import annotations

import io
import struct
import tarfile
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from mar_core.archives import layout
from mar_core.archives.digests import Digests, HashingReader, quiet, write_at
from mar_core.errors import ArchiveError
from mar_core.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.archives.sources import Sources

__all__ = ["write_tgz"]

# No name, no flags, no time, the operating system unknown.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
BLOCK = 1 << 18


def write_tgz(
    archive: Sources,
    target: int,
    finish: Callable[[dict[str, Digests]], bytes],
    *,
    progress: Callable[[int], None] = quiet,
) -> None:
    """Write the whole tar.

    Args:
        archive: What goes in, in its order.
        target: Descriptor of an empty file.
        finish: Makes the manifest from the digests of the other members.
        progress: Told the bytes done since it was last called.

    Raises:
        ArchiveError: A source cannot be read, or changes meanwhile.
    """
    prefix = archive.manifest.model_name
    gzip = _Gzip(target)
    digests = {}
    with tarfile.open(fileobj=cast("Any", gzip), mode="w|", bufsize=BLOCK) as tar:
        for name, member in archive.members.items():
            if name != MANIFEST_NAME:
                with archive.open(name) as stream:
                    digests[name] = _add(tar, f"{prefix}/{name}", member.size, stream, progress)
        data = finish(digests)
        _add(tar, f"{prefix}/{MANIFEST_NAME}", len(data), io.BytesIO(data), progress)
    gzip.finish()


def _add(
    tar: tarfile.TarFile,
    name: str,
    size: int,
    stream: BinaryIO,
    progress: Callable[[int], None],
) -> Digests:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, layout.epoch(), 0o644
    reader = HashingReader(stream, progress)
    try:
        tar.addfile(info, cast("Any", reader))
    except tarfile.TarError as error:
        raise ArchiveError(f"{name} cannot be put into a tar: {error}.") from error
    digests = reader.digests()
    if digests.size != size or stream.read(1):
        raise ArchiveError(f"{name} changed while it was being read.", hint="Try again.")
    return digests


class _Gzip:
    """A gzip stream whose bytes depend on nothing but what is written to it."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._packer = layout.packer()
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

    def finish(self) -> None:
        """Write what is left, and the trailer."""
        self._put(self._packer.flush())
        self._put(struct.pack("<II", self._crc, self._size & 0xFFFFFFFF))

    def _put(self, data: bytes) -> None:
        write_at(self._target, data, self._offset)
        self._offset += len(data)
