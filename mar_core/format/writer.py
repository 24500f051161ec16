"""Writes sources as an archive: digests into the manifest, then one file or folder, whole."""

from __future__ import annotations

import os
import struct
import tarfile
from typing import TYPE_CHECKING, Any, Protocol, cast

from mar_core.errors import ArchiveError
from mar_core.format import atomic
from mar_core.format.digests import HashingReader, copy, quiet, source_changed, unchanging, write_at
from mar_core.format.file import ArchiveFile
from mar_core.format.manifest import MANIFEST_NAME, Manifest, epoch
from mar_core.format.reader import open_file
from mar_core.format.sources import size_of
from mar_core.format.view import ArchiveFormat
from mar_core.format.zip_writer import ZipWriter, packer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mar_core.format.digests import Digests
    from mar_core.format.sources import Content, Sources

__all__ = ["Appender", "FolderWriter", "TgzWriter", "fill", "reread", "write"]

_TAR_BLOCK = 1 << 18
# No name, no flags, no time, the operating system unknown.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


class Appender(Protocol):
    """What puts members into one container."""

    def add(self, name: str, content: Content) -> Digests:
        """Append one member."""

    def close(self) -> None:
        """Write what comes behind the last member."""


def write(
    archive: Sources,
    target: Path,
    *,
    archive_format: ArchiveFormat = ArchiveFormat.DEFAULT,
    force: bool = False,
    instead_of: os.stat_result | None = None,
    digests: bool = True,
    progress: Callable[[int], None] = quiet,
) -> Manifest:
    """Write an archive in one pass over its sources.

    Args:
        archive: What goes in.
        target: The file or folder that it becomes.
        archive_format: How it is stored.
        force: Replace what is there.
        instead_of: How what is replaced must look still.
        digests: Add the size and the SHA-256 of every member to the manifest.
        progress: Told the bytes done since it was last called.

    Returns:
        The manifest as written.

    Raises:
        ArchiveError: The target is taken or cannot be written, or a source cannot be read. Nothing
            is left behind, and what was there before is as it was.
    """
    needed = sum(size_of(content) for content in archive.contents.values())
    how: dict[str, Any] = {"force": force, "needed": needed, "instead_of": instead_of}
    if archive_format is ArchiveFormat.NO_ARCHIVE:
        with atomic.new_folder(target, **how) as folder:
            return fill(FolderWriter(folder, progress=progress), archive, digests=digests)
    with atomic.new_file(target, **how) as partial:
        appender: Appender
        if archive_format is ArchiveFormat.TGZ:
            prefix = str(archive.manifest.model_name)
            appender = TgzWriter(partial.descriptor, prefix=prefix, progress=progress)
        else:
            appender = ZipWriter(
                partial.descriptor,
                deflate=archive_format is ArchiveFormat.DEFAULT,
                serialized=archive.manifest.serialized_file,
                progress=progress,
            )
        manifest = fill(appender, archive, digests=digests)
        reread(partial.path, archive, manifest)
    return manifest


def fill(
    appender: Appender,
    archive: Sources,
    *,
    done: Mapping[str, dict[str, Any]] | None = None,
    digests: bool = True,
) -> Manifest:
    """Append every member, the manifest last.

    Args:
        appender: Takes the members.
        archive: What goes in.
        done: Size and SHA-256 of members that are in already.
        digests: Add size and SHA-256 to the manifest.

    Returns:
        The manifest as written.
    """
    members = dict(done or {})
    for name, content in archive.contents.items():
        if name not in members and name != MANIFEST_NAME:
            known = appender.add(name, content)
            members[name] = {"size": known.size, "sha256": known.sha256}
    manifest = archive.manifest
    if digests:
        manifest = Manifest({**manifest.data, "mar": {**manifest.mar, "members": members}})
    appender.add(MANIFEST_NAME, manifest.to_bytes())
    appender.close()
    return manifest


def reread(path: Path, archive: Sources, manifest: Manifest) -> None:
    """Walk the structure of a written archive with the strict reader, before it gets its name.

    Raises:
        ArchiveError: It is not what was meant; a fault of mar's own, or of the disk.
    """
    with open_file(ArchiveFile(path)) as written:  # new, so that no journal can be for it
        if set(written.members) != set(archive.members) or written.manifest != manifest:
            raise ArchiveError(
                "The archive was not written: read again, it is not what it should be.",
                hint="Check the disk, and report this if it comes again.",
            )


class FolderWriter:
    """Adds members to a folder.

    Args:
        folder: The folder, empty.
        progress: Told the bytes done since it was last called.
    """

    def __init__(self, folder: Path, *, progress: Callable[[int], None] = quiet) -> None:
        self._folder = folder
        self._progress = progress

    def add(self, name: str, content: Content) -> Digests:
        """Write one member and flush it to the disk.

        Raises:
            ArchiveError: It cannot be read, or changes meanwhile.
            OSError: The folder cannot take it.
        """
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        target = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            size = size_of(content)
            digests = copy(content, target, offset=0, size=size, progress=self._progress)
            os.fsync(target)
        finally:
            os.close(target)
        return digests

    def close(self) -> None:
        """Nothing is left to write."""


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
            fileobj=cast("Any", self._gzip), mode="w|", bufsize=_TAR_BLOCK
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
        with unchanging(content, info.size) as stream:
            reader = HashingReader(stream, self._progress)
            try:
                self._tar.addfile(info, cast("Any", reader))
            except (tarfile.TarError, EOFError) as error:
                raise ArchiveError(f"{name} cannot be put into a tar: {error}.") from error
            except OSError as error:
                if error.errno is not None:
                    raise
                raise source_changed(str(content)) from error  # tarfile's, of one too short
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
