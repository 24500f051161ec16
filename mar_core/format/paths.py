"""Whether two names are one file: what is written must never be what is read."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["is_inside", "real_path", "same_file"]


def real_path(path: str | Path) -> Path:
    """The absolute path behind all links; of a file that is not there, where it would be."""
    return Path(os.path.realpath(path))


def same_file(first: str | Path, second: str | Path) -> bool:
    """Whether two paths lead to one file, or would if it were there.

    Symbolic and hard links are followed, and a file system that ignores case is believed.
    """
    if real_path(first) == real_path(second):
        return True
    try:
        return os.path.samefile(first, second)  # noqa: PTH121 - takes text and paths
    except OSError:
        return False


def is_inside(path: str | Path, folder: str | Path) -> bool:
    """Whether a path is that folder, or would lie below it."""
    real = real_path(path)
    return any(same_file(parent, folder) for parent in (real, *real.parents))
