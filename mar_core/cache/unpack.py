"""Unpacking: each member into a new file, verified while it is copied."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, BinaryIO

from mar_core.cache.location import UnusableError
from mar_core.format.atomic import NO_ROOM
from mar_core.format.file import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mar_core.errors import ArchiveError
    from mar_core.format.view import Archive, Member

__all__ = ["check_room", "failure", "no_room", "unpack"]

_WORTH_A_THREAD = 8 << 20
_ROOM_LEFT = 64 << 20
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)


def unpack(archive: Archive, members: Iterable[Member], folder: Path) -> None:
    """Write members below a folder that nobody else can write to.

    Members that lie on this machine as files become links to them; the others are copied. Modes,
    owners and times of the archive are ignored.

    Args:
        archive: The archive, whose names are known to be good.
        members: Those of its members that are wanted.
        folder: An existing, empty, private folder.

    Raises:
        ValidationError: A member is damaged.
        ArchiveError: The disk is full or cannot be written.
    """
    for member in members:
        target = folder / member.name
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if member.source is not None:
                target.symlink_to(member.source.absolute())
                continue
            with archive.open(member.name) as source:
                _copy(source, target, size=member.size)
        except OSError as error:
            raise failure(folder, error) from error


def check_room(folder: Path, needed: int) -> bool:
    """Whether a folder's disk has room for so many bytes and a little more."""
    return shutil.disk_usage(folder).free >= needed + min(needed, _ROOM_LEFT)


def no_room(folder: Path, needed: int) -> ArchiveError:
    """The error for a disk without that much room."""
    free = shutil.disk_usage(folder).free
    return UnusableError(
        f"Unpacking needs {needed:,} bytes in {folder}, where {free:,} are free.",
        hint="Run `mar cache --clear`, or name another folder with MAR_CACHE_DIR.",
    )


def _copy(source: BinaryIO, target: Path, *, size: int) -> None:
    descriptor = os.open(target, _NEW_FILE | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as sink:
        chunks = _read_ahead(source) if size >= _WORTH_A_THREAD else _chunks(source)
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[sink.write(view) :]


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        yield chunk


def _read_ahead(source: BinaryIO) -> Iterator[bytes]:
    """Chunks, the next of which is read and verified in a thread while this one is written."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = reader.submit(source.read, CHUNK)
        while chunk := coming.result():
            coming = reader.submit(source.read, CHUNK)
            yield chunk


def failure(folder: Path, error: OSError) -> ArchiveError:
    """The error for a folder that takes no more files."""
    if error.errno in NO_ROOM:
        return UnusableError(
            f"The disk is full: the archive could not be unpacked to {folder}.",
            hint="Run `mar cache --clear`, or name another folder with MAR_CACHE_DIR.",
        )
    return UnusableError(f"The archive could not be unpacked to {folder}: {error.strerror}.")
