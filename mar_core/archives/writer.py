"""Writes sources as an archive: digests into the manifest, then one file or folder, whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from mar_core.archives import atomic
from mar_core.archives.contents import size_of
from mar_core.archives.digests import quiet
from mar_core.archives.reader import open_archive
from mar_core.archives.request import ArchiveFormat
from mar_core.archives.write_folder import FolderWriter
from mar_core.archives.write_tgz import TgzWriter
from mar_core.archives.write_zip import ZipWriter
from mar_core.errors import ArchiveError
from mar_core.manifest import MANIFEST_NAME, Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mar_core.archives.contents import Content
    from mar_core.archives.digests import Digests
    from mar_core.archives.sources import Sources

__all__ = ["Appender", "fill", "reread", "write"]


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
    progress: Callable[[int], None] = quiet,
) -> Manifest:
    """Write an archive in one pass over its sources.

    Args:
        archive: What goes in.
        target: The file or folder that it becomes.
        archive_format: How it is stored.
        force: Replace what is there.
        progress: Told the bytes done since it was last called.

    Returns:
        The manifest as written, with the size and SHA-256 of every other member.

    Raises:
        ArchiveError: The target is taken or cannot be written, or a source cannot be read. Nothing
            is left behind, and what was there before is as it was.
    """
    needed = sum(size_of(content) for content in archive.contents.values())
    if archive_format is ArchiveFormat.NO_ARCHIVE:
        with atomic.new_folder(target, force=force, needed=needed) as folder:
            return fill(FolderWriter(folder, progress=progress), archive)
    with atomic.new_file(target, force=force, needed=needed) as partial:
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
        manifest = fill(appender, archive)
        reread(partial.path, manifest)
    return manifest


def fill(
    appender: Appender, archive: Sources, *, done: Mapping[str, dict[str, Any]] | None = None
) -> Manifest:
    """Append every member, the manifest last.

    Args:
        appender: Takes the members.
        archive: What goes in.
        done: Size and SHA-256 of members that are in already.

    Returns:
        The manifest as written.
    """
    members = dict(done or {})
    for name, content in archive.contents.items():
        if name not in members and name != MANIFEST_NAME:
            digests = appender.add(name, content)
            members[name] = {"size": digests.size, "sha256": digests.sha256}
    data = {**archive.manifest.data, "mar": {**archive.manifest.mar, "members": members}}
    manifest = Manifest(data)
    appender.add(MANIFEST_NAME, manifest.to_bytes())
    appender.close()
    return manifest


def reread(path: Path, manifest: Manifest) -> None:
    """Walk the structure of a written archive with the strict reader, before it gets its name.

    Raises:
        ArchiveError: It is not what was meant; a fault of mar's own, or of the disk.
    """
    with open_archive(path) as written:
        names = {*manifest.mar["members"], MANIFEST_NAME}
        if set(written.members) != names or written.manifest != manifest:
            raise ArchiveError(
                "The archive was not written: read again, it is not what it should be.",
                hint="Check the disk, and report this if it comes again.",
            )
