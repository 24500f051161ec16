"""Puts one folder in the place of another."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["exchange"]

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def exchange(new: Path, old: Path) -> None:
    """Swap two folders; in one step where the system can, so that there is always one at ``old``.

    Args:
        new: What becomes ``old``.
        old: What becomes ``new``, for the caller to remove.

    Raises:
        OSError: They cannot be swapped; both are as they were.
    """
    if not _exchange_at_once(new, old):
        aside = new.with_name(f"{new.name}.old")
        old.rename(aside)
        try:
            new.rename(old)
        except OSError:
            aside.rename(old)
            raise
        aside.rename(new)


def _exchange_at_once(new: Path, old: Path) -> bool:
    """Linux's renameat2, which Python does not wrap."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    paths = os.fsencode(new), os.fsencode(old)
    if rename(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}:
        return False
    raise OSError(code, os.strerror(code), str(old))
