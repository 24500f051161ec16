"""The archive on machines that do not have it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray

from mar_core import ArchiveError, write_archive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core import Recipe

__all__ = ["Shipment", "at_this_node"]

PIECE = 32 << 20
CHUNK = 1 << 20
KEPT_SECONDS = 7 * 86_400


class Shipment:
    """The archive as one file, on the machine where the run was started.

    Args:
        recipe: How it is loaded.
        folder: The folder that relative paths begin at.
    """

    def __init__(self, recipe: Recipe, folder: str) -> None:
        self._recipe = recipe
        self._folder = folder
        self._lock = threading.Lock()
        self._packed: tempfile.TemporaryDirectory[str] | None = None
        self._found: tuple[Path, str] | None = None

    def describe(self) -> tuple[int, str]:
        """Its size and SHA-256."""
        file, digest = self._find()
        return file.stat().st_size, digest

    def read(self, start: int, size: int) -> bytes:
        """Some bytes of it."""
        file, _ = self._find()
        with file.open("rb") as stream:
            stream.seek(start)
            return stream.read(size)

    def _find(self) -> tuple[Path, str]:
        with self._lock:
            if self._found is None:
                source = self._recipe.source
                is_file = isinstance(source, Path) and source.is_file()
                file = source if isinstance(source, Path) and is_file else self._pack()
                self._found = file, _sha256(file)
            return self._found

    def _pack(self) -> Path:
        """A folder, or sources that were never packed, as an archive."""
        os.chdir(self._folder)
        self._packed = tempfile.TemporaryDirectory(prefix="mar-ray-")
        target = Path(self._packed.name, "model.mar")
        with self._recipe.open() as archive:
            contents = {
                name: member.source or archive.read(name, limit=member.size)
                for name, member in archive.members.items()
                if name != "MAR-INF/MANIFEST.json"
            }
            write_archive(archive.manifest, contents, target, digests=False)
        return target


def at_this_node(recipe: Recipe, feed: Any) -> Recipe:
    """The recipe with a source that is on this machine.

    A file of the same name with the same bytes is taken as it is, as on a shared file system.
    Anything else is fetched, once for each machine.

    Args:
        recipe: The recipe of the machine where the run was started.
        feed: Has the archive.

    Raises:
        ArchiveError: It cannot be written here.
    """
    size, digest = ray.get(feed.archive.remote())
    if isinstance(recipe.source, Path) and _is(recipe.source, size, digest):
        return recipe
    try:
        with _folder() as folder:
            path = folder / f"{digest}.mar"
            if not _is(path, size, digest):
                _fetch(feed, size, path)
            path.touch()
    except OSError as error:
        raise ArchiveError(
            f"The archive cannot be put on {os.uname().nodename}: {error.strerror or error}."
        ) from error
    return dataclasses.replace(recipe, source=path)


def _is(path: Path, size: int, digest: str) -> bool:
    return path.is_file() and path.stat().st_size == size and _sha256(path) == digest


def _fetch(feed: Any, size: int, path: Path) -> None:
    """Write it beside its place, and move it there when it is whole."""
    part = path.with_suffix(".part")
    with part.open("wb") as stream:
        for start in range(0, size, PIECE):
            stream.write(ray.get(feed.piece.remote(start, PIECE)))
    part.replace(path)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """The folder for fetched archives, locked; what has not been used for a week goes."""
    folder = Path(tempfile.gettempdir(), f"mar-ray-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise ArchiveError(f"The folder {folder} is not ours alone.", hint="Remove it.")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in folder.glob("*.mar"):
            if path.stat().st_mtime < time.time() - KEPT_SECONDS:
                path.unlink()
        yield folder


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
