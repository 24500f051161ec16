"""Writes sources as an archive: digests into the manifest, then one file or folder, whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

from mar_core.errors import ArchiveError
from mar_core.format import atomic
from mar_core.format.contents import size_of
from mar_core.format.digests import copy, quiet
from mar_core.format.manifest import MANIFEST_NAME, Manifest
from mar_core.format.reader import open_archive
from mar_core.format.tar_writer import TgzWriter
from mar_core.format.view import ArchiveFormat
from mar_core.format.zip_writer import ZipWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mar_core.format.contents import Content
    from mar_core.format.digests import Digests
    from mar_core.format.sources import Sources

__all__ = ["Appender", "FolderWriter", "fill", "reread", "write"]


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
    with open_archive(path) as written:
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
