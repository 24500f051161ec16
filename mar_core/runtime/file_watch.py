"""Files that somebody works on: which of them were saved since they were looked at."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["FileWatch", "Stamp", "stamp_of"]

# A file's size in bytes and its time of change in nanoseconds; None where there is none.
Stamp = tuple[int, int] | None


class FileWatch:
    """Tells which files have changed since it was made, or since it last told.

    Args:
        files: Gives the files to watch, be they there or not; asked at each look.
    """

    def __init__(self, files: Callable[[], Iterable[Path]]) -> None:
        self._files = files
        self._known = self._latest = self._look()

    def changed(self) -> list[Path]:
        """The files that have come, gone or changed, sorted.

        A file is emptied before it is written anew: a change is told once two looks, one after the
        other, have seen the same. Ask every moment, with a pause between.
        """
        before, self._latest = self._latest, self._look()
        if self._latest == self._known or self._latest != before:
            return []
        differing = {path for path, _ in self._known.items() ^ self._latest.items()}
        self._known = self._latest
        return sorted(differing)

    def _look(self) -> dict[Path, Stamp]:
        return {path: stamp_of(path) for path in self._files()}


def stamp_of(path: Path) -> Stamp:
    """By what a change of a file is known."""
    try:
        status = os.stat(path)  # noqa: PTH116 - many files, and the shortest way
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
