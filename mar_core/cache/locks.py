"""Locks on folders and files that the system lets go of when a process ends, however it ends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # Windows has no such locks; renames still keep every entry whole
    HAVE_LOCKS = False
else:
    HAVE_LOCKS = True

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["hold", "is_held", "try_exclusive", "wait_exclusive"]


def hold(folder: Path) -> int | None:
    """Mark a folder as in use until the descriptor is closed or the process ends.

    Returns:
        The descriptor, or None when the folder is just being removed or is not there.
    """
    return _locked(folder, shared=True, wait=False)


def try_exclusive(path: Path) -> int | None:
    """Take a folder for oneself; None when somebody uses it."""
    return _locked(path, shared=False, wait=False)


def wait_exclusive(path: Path) -> int | None:
    """Take a file for oneself as soon as nobody else has it, making it where it is missing.

    Returns:
        The descriptor, or None when the file was replaced meanwhile: try again.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600))
    return _locked(path, shared=False, wait=True)


def is_held(folder: Path) -> bool:
    """Whether some process has the folder in use."""
    descriptor = try_exclusive(folder)
    if descriptor is None:
        return folder.exists()
    os.close(descriptor)
    return False


def _locked(path: Path, *, shared: bool, wait: bool) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
    if _flock(descriptor, shared=shared, wait=wait) and _still_there(path, descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _flock(descriptor: int, *, shared: bool, wait: bool) -> bool:
    if not HAVE_LOCKS:
        return True
    operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, operation if wait else operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _still_there(path: Path, descriptor: int) -> bool:
    """Whether the path still is what was locked, not something put there meanwhile."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))
