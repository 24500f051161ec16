"""Writes the members of an archive as plain files of a folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mar_core.archives.digests import copy_file, digests_of, quiet, write_at
from mar_core.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mar_core.archives.digests import Digests
    from mar_core.archives.sources import Sources

__all__ = ["write_folder"]


def write_folder(
    archive: Sources,
    folder: Path,
    finish: Callable[[dict[str, Digests]], bytes],
    *,
    progress: Callable[[int], None] = quiet,
) -> None:
    """Write every member as a file.

    Args:
        archive: What goes in.
        folder: An empty folder.
        finish: Makes the manifest from the digests of the other members.
        progress: Told the bytes done since it was last called.
    """
    digests = {}
    for name, content in archive.contents.items():
        if name != MANIFEST_NAME:
            digests[name] = _write(folder / name, content, progress)
    _write(folder / MANIFEST_NAME, finish(digests), progress)


def _write(path: Path, content: bytes | Path, progress: Callable[[int], None]) -> Digests:
    path.parent.mkdir(parents=True, exist_ok=True)
    target = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        if isinstance(content, bytes):
            write_at(target, content, 0)
            digests = digests_of(content)
        else:
            size = content.stat().st_size
            digests = copy_file(content, target, offset=0, size=size, progress=progress)
        os.fsync(target)
    finally:
        os.close(target)
    return digests
