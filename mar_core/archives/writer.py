"""Writes sources as an archive: digests into the manifest, then one file or folder, whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core.archives import atomic
from mar_core.archives.digests import quiet
from mar_core.archives.request import ArchiveFormat
from mar_core.archives.write_folder import write_folder
from mar_core.archives.write_tgz import write_tgz
from mar_core.archives.write_zip import write_zip
from mar_core.manifest import MANIFEST_NAME, Manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mar_core.archives.digests import Digests
    from mar_core.archives.sources import Sources

__all__ = ["write"]


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
    finish = _Finish(archive)
    needed = sum(member.size for member in archive.members.values())
    if archive_format is ArchiveFormat.NO_ARCHIVE:
        with atomic.new_folder(target, force=force, needed=needed) as folder:
            write_folder(archive, folder, finish, progress=progress)
    else:
        with atomic.new_file(target, force=force, needed=needed) as (descriptor, _):
            if archive_format is ArchiveFormat.TGZ:
                write_tgz(archive, descriptor, finish, progress=progress)
            else:
                deflate = archive_format is ArchiveFormat.DEFAULT
                write_zip(archive, descriptor, finish, deflate=deflate, progress=progress)
    return finish.manifest


class _Finish:
    """Makes the manifest's bytes once every other member has its digest."""

    def __init__(self, archive: Sources) -> None:
        self.manifest = archive.manifest

    def __call__(self, digests: dict[str, Digests]) -> bytes:
        members = {
            name: {"size": digest.size, "sha256": digest.sha256}
            for name, digest in digests.items()
            if name != MANIFEST_NAME
        }
        data: dict[str, Any] = dict(self.manifest.data)
        data["mar"] = {**self.manifest.mar, "members": members}
        self.manifest = Manifest(data)
        return self.manifest.to_bytes()
