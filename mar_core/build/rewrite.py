"""Replaces a zip archive by one whose first members are the same: only the rest is written anew."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mar_core.errors import ArchiveError
from mar_core.format import atomic
from mar_core.format.digests import FLUSHED, begin_flush, quiet, write_at
from mar_core.format.file import CHUNK
from mar_core.format.journal import replace_end
from mar_core.format.manifest import MANIFEST_NAME
from mar_core.format.sources import Kept, size_of
from mar_core.format.writer import fill, reread
from mar_core.format.zip_records import DEFLATED
from mar_core.format.zip_writer import NewEntry, ZipWriter, local_header, zip_date

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mar_core.format.manifest import Manifest
    from mar_core.format.sources import Sources
    from mar_core.format.zip_archive import ZipArchive

__all__ = ["rewrite", "rewrite_end"]

# What copy_file_range answers where two file systems, or one, cannot do it.
_CANNOT = {errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}


def rewrite(
    archive: ZipArchive,
    sources: Sources,
    target: Path,
    *,
    instead_of: os.stat_result | None = None,
    progress: Callable[[int], None] = quiet,
) -> Manifest:
    """Write an archive again after some of its members have changed.

    The members before the first change are copied as they lie, without being read: the kernel
    copies them, or shares their blocks where the file system can, in no time.

    Args:
        archive: The archive, open.
        sources: What it shall become; most of it is kept from ``archive``.
        target: Where the archive is.
        instead_of: How it must look still when it is replaced.
        progress: Told the bytes done since it was last called.

    Returns:
        The manifest as written.

    Raises:
        ArchiveError: The archive cannot be written, or somebody else has replaced it meanwhile.
            It is as it was before.
    """
    head = _head(archive, sources)
    needed = sum(size_of(content) for content in sources.contents.values())
    with atomic.new_file(target, force=True, needed=needed, instead_of=instead_of) as partial:
        _copy_head(archive, partial.descriptor, head.length, progress)
        return _write_end(archive, sources, head, partial, progress)


def rewrite_end(
    archive: ZipArchive,
    sources: Sources,
    target: Path,
    *,
    instead_of: os.stat_result | None = None,
    progress: Callable[[int], None] = quiet,
) -> Manifest:
    """The same in the archive's own file: nothing before the first change is even copied.

    The end is made in a file beside it, which has holes where the rest would be, and is walked by
    the strict reader there. Whoever reads the archive meanwhile sees parts of both.

    Raises:
        ArchiveError: The archive cannot be written, or somebody else has written to it meanwhile.
            It is as it was before.
    """
    head = _head(archive, sources)
    # There, in the journal, and as much as the archive may grow.
    needed = sum(size_of(sources.contents[n]) for n in sources.contents if n not in head.members)
    with atomic.scratch_file(target, needed=3 * needed) as partial:
        for entry in head.entries:
            write_at(partial.descriptor, local_header(entry), entry.offset)
        manifest = _write_end(archive, sources, head, partial, progress)
        atomic.check_unchanged(target, instead_of)
        size = os.fstat(partial.descriptor).st_size - head.length
        replace_end(target, head.length, _pieces(partial, head.length), size=size)
    return manifest


def _pieces(partial: atomic.Partial, start: int) -> Iterator[bytes]:
    while piece := os.pread(partial.descriptor, CHUNK, start):
        yield piece
        start += len(piece)


def _write_end(
    archive: ZipArchive,
    sources: Sources,
    head: _Head,
    partial: atomic.Partial,
    progress: Callable[[int], None],
) -> Manifest:
    writer = ZipWriter(
        partial.descriptor,
        deflate=archive.placed[MANIFEST_NAME].entry.method == DEFLATED,
        serialized=sources.manifest.serialized_file,
        entries=head.entries,
        offset=head.length,
        progress=progress,
    )
    manifest = fill(writer, sources, done=head.members)
    reread(partial.path, sources, manifest)
    return manifest


@dataclass(slots=True)
class _Head:
    """The part of the file that stays: its entries, what the manifest says of them, its length."""

    entries: list[NewEntry] = field(default_factory=list)
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    length: int = 0


def _head(archive: ZipArchive, sources: Sources) -> _Head:
    """The longest start of the file that a fresh archive would have too, byte by byte."""
    head = _Head()
    for (name, content), placed in zip(
        sources.contents.items(), archive.placed.values(), strict=False
    ):
        entry = placed.entry
        known = _recorded(archive, name)
        if not isinstance(content, Kept) or entry.name != name or known is None:
            break
        new = NewEntry(
            name=name,
            size=entry.size,
            compressed_size=entry.compressed_size,
            crc=entry.crc,
            method=entry.method,
            offset=head.length,
            date=zip_date(),
        )
        header = local_header(new)
        if archive.file.read_at(entry.offset, len(header)) != header:
            break
        head.entries.append(new)
        head.members[name] = known
        head.length = placed.data_offset + entry.compressed_size
    return head


def _recorded(archive: ZipArchive, name: str) -> dict[str, Any] | None:
    """What the manifest says of a member, in the form in which it is written."""
    sha256 = archive.sha256_of(name)
    return None if sha256 is None else {"size": archive.members[name].size, "sha256": sha256}


def _copy_head(
    archive: ZipArchive, target: int, length: int, progress: Callable[[int], None]
) -> None:
    done = 0
    while done < length:
        span = min(FLUSHED, length - done)
        count = _copy_range(archive.file.fileno(), target, span, done, done)
        if count == 0:
            data = archive.file.read_at(done, min(span, CHUNK))
            if not data:
                raise ArchiveError(f"{archive} became shorter meanwhile.", hint="Try again.")
            write_at(target, data, done)
            count = len(data)
        begin_flush(target, done, count)
        done += count
        progress(count)


def _copy_range(source: int, target: int, count: int, at: int, to: int) -> int:
    """Let the kernel copy up to ``count`` bytes; 0 at the end, or where it cannot."""
    if not hasattr(os, "copy_file_range"):
        return 0
    try:
        return os.copy_file_range(source, target, count, at, to)
    except OSError as error:
        if error.errno in _CANNOT:
            return 0
        raise
