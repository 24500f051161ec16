"""Locks on folders and files that the system lets go of when a process ends, however it ends.

A temporary folder is held by one: what a killed process leaves of it, the next one removes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # Windows has no such locks; renames still keep every entry whole
    HAVE_LOCKS = False
else:
    HAVE_LOCKS = True

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "alone", "clear_away", "hold", "is_held", "keep", "scratch_folder", "try_exclusive",
    "wait_exclusive",
]  # fmt: skip

_SCRATCH = "mar-scratch-"
_here = threading.local()
_QUIETLY = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


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


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Have a file or folder for oneself, as soon as no other thread and no other process has it.

    What others have put in its place meanwhile is waited for, too. Where nothing stands, or nothing
    that may be read, there is nothing to wait for.
    """
    path = path.resolve()
    mine: set[Path] = _here.__dict__.setdefault("paths", set())
    if path in mine:  # a thread that waited for itself would wait for ever
        yield
        return
    descriptor = _wait_for(path)
    mine.add(path)
    try:
        yield
    finally:
        mine.discard(path)
        if descriptor is not None:
            os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Whether some process has the folder in use."""
    descriptor = try_exclusive(folder)
    if descriptor is None:
        return folder.exists()
    os.close(descriptor)
    return False


def keep(descriptor: int, path: Path | None = None) -> bool:
    """Mark what this process has just made as being worked on.

    Args:
        descriptor: It, open.
        path: Its name, or None while it has none.

    Returns:
        Whether it is still there: somebody who clears away may have taken it for a leftover.
    """
    locked = _flock(descriptor, shared=True, wait=False)
    return locked and (path is None or _still_there(path, descriptor))


def clear_away(path: Path, remove: Callable[[Path], object]) -> None:
    """Remove a file or folder that whoever worked on it has left; where nobody can know, do not.

    Args:
        path: What may be a leftover.
        remove: Removes it; called while nobody can take it up.
    """
    if not HAVE_LOCKS:
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | _QUIETLY)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _still_there(path, descriptor):
            remove(path)
    except OSError:
        return
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder for this process alone, removed with all that is in it.

    Model weights may lie there, so what killed processes have left is removed first. ``TMPDIR``
    says where.
    """
    if not HAVE_LOCKS:
        with tempfile.TemporaryDirectory(prefix=_SCRATCH) as name:
            yield Path(name)
        return
    for left in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError):
            if left.lstat().st_uid == os.getuid():
                clear_away(left, shutil.rmtree)
    while True:  # somebody who clears up may take a new folder for a leftover
        folder = Path(tempfile.mkdtemp(prefix=_SCRATCH))
        held = hold(folder)
        if held is not None:
            break
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


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


def _wait_for(path: Path) -> int | None:
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY | _QUIETLY)
        except OSError:
            return None
        if _flock(descriptor, shared=False, wait=True) and _still_there(path, descriptor):
            return descriptor
        os.close(descriptor)


def _still_there(path: Path, descriptor: int) -> bool:
    """Whether the path still is what was locked, not something put there meanwhile."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))
