"""Files that somebody works on: which of them were saved since they were looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["FileWatch"]

# A file's time of change in nanoseconds and its size in bytes; None where there is none.
Stamps = dict["Path", tuple[int, int] | None]


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

    def _look(self) -> Stamps:
        return {path: _stamp(path) for path in self._files()}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
