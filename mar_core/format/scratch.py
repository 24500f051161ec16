"""A temporary folder: what a killed process leaves of it, the next one removes."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.format import locks

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["scratch_folder"]

_PREFIX = "mar-scratch-"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder for this process alone, removed with all that is in it.

    Model weights may lie there, so what killed processes have left is removed first. ``TMPDIR``
    says where.
    """
    if not locks.HAVE_LOCKS:
        with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
            yield Path(name)
        return
    _clear_up()
    while True:  # somebody who clears up may take a new folder for a leftover
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        held = locks.hold(folder)
        if held is not None:
            break
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _clear_up() -> None:
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if left.lstat().st_uid == os.getuid():
                locks.clear_away(left, shutil.rmtree)
