"""Doing something again whenever a file changes."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.errors import MarError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["watch"]

POLL_SECONDS = 0.3

Stamps = dict[Path, tuple[int, int] | None]


def watch(act: Callable[[], bool], *, files: Callable[[], Iterable[Path]]) -> None:
    """Act, then again at each change of a file, until the user has had enough.

    What goes wrong is said, and the next change is waited for.

    Args:
        act: What to do; False when the user wants no more.
        files: The files to watch; asked anew before each time.
    """
    stamps: Stamps = {}
    while True:
        try:
            stamps = _stamps(files())
            if not act():
                return
        except MarError as error:
            print(f"mar: error: {error}", file=sys.stderr)
        print("mar: waiting for a change; Ctrl-C ends", file=sys.stderr, flush=True)
        while _stamps(stamps) == stamps:
            time.sleep(POLL_SECONDS)


def _stamps(files: Iterable[Path]) -> Stamps:
    return {path: _stamp(path) for path in files}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
