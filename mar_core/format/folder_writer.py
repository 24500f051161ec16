"""Writes the members of an archive as plain files of a folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mar_core.format.digests import copy, quiet
from mar_core.format.sources import size_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mar_core.format.digests import Digests
    from mar_core.format.sources import Content

__all__ = ["FolderWriter"]


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
