"""Writes a file or a folder that appears under its name only when it is whole and on the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.errors import ArchiveError
from mar_core.format import locks
from mar_core.format.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "NO_ROOM", "PARTIAL_SUFFIX", "Partial", "check_place", "check_unchanged", "exchange",
    "flush_folder", "is_inside", "new_file", "new_folder", "real_path", "same_file",
    "scratch_file",
]  # fmt: skip

PARTIAL_SUFFIX = ".mar-partial"
# Of an OSError: the disk is full, the user's share of it is, or a file may not become so large.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

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
    import ctypes

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


_PARTIAL = re.compile(rf"\..+\.[0-9a-f]{{8}}{re.escape(PARTIAL_SUFFIX)}")
_OPEN = os.O_RDWR | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True)
class Partial:
    """A file that is being written.

    Attributes:
        descriptor: Open for reading and writing; closed by ``new_file``.
        path: Where it can be opened again meanwhile.
        named: Whether it has a name in the target's folder, to be removed if all fails.
    """

    descriptor: int
    path: Path
    named: bool


@contextlib.contextmanager
def new_file(
    target: Path, *, force: bool, needed: int, instead_of: os.stat_result | None = None
) -> Iterator[Partial]:
    """Write a file beside its place, flush it, and give it its name.

    Where the system can, the file has no name until then, so that not even a killed process leaves
    anything behind; what one has left elsewhere is removed by whoever writes there next. A file
    that is replaced hands on its mode, and a link to it stays a link.

    Args:
        target: Where it goes.
        force: Replace a file that is there; otherwise of two writers one fails.
        needed: About how many bytes it will take.
        instead_of: How the file that is replaced must look still.

    Yields:
        The file to fill. Whatever is raised meanwhile, nothing is left and an older file is as it
        was.

    Raises:
        ArchiveError: The place is taken, cannot be written to, or has no room.
    """
    target = _behind_links(target, force=force)
    with _explained(target, needed):
        _clear_leftovers(target.parent)
        partial = _open_unnamed(target.parent) or _open_named(target)
        try:
            _keep_mode(target, partial.descriptor, force=force)
            yield partial
            os.fsync(partial.descriptor)
            check_unchanged(target, instead_of)
            _publish(partial, target, force=force)
            flush_folder(target.parent)
        finally:
            os.close(partial.descriptor)
            if partial.named:
                partial.path.unlink(missing_ok=True)


@contextlib.contextmanager
def scratch_file(target: Path, *, needed: int) -> Iterator[Partial]:
    """A file beside a place that never gets its name, for what is written there in another way.

    Args:
        target: The place.
        needed: About how many bytes the file will take.

    Raises:
        ArchiveError: Nothing can be written there, or there is no room.
    """
    with _explained(target, needed):
        _clear_leftovers(target.parent)
        partial = _open_unnamed(target.parent) or _open_named(target)
        try:
            yield partial
        finally:
            os.close(partial.descriptor)
            if partial.named:
                partial.path.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(
    target: Path, *, force: bool, needed: int, instead_of: os.stat_result | None = None
) -> Iterator[Path]:
    """Fill a folder beside its place and give it its name; like ``new_file``.

    Yields:
        The folder to fill.

    Raises:
        ArchiveError: The place is taken, cannot be written to, or has no room.
    """
    target = _behind_links(target, force=force)
    with _explained(target, needed):
        _clear_leftovers(target.parent)
        partial, lock = _made_folder(target)
        try:
            _keep_mode(target, lock, force=force)
            yield partial
            flush_folder(partial)
            check_unchanged(target, instead_of)
            if force and target.is_dir():
                exchange(partial, target)
            else:
                _rename(partial, target)
            flush_folder(target.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            os.close(lock)


def check_place(target: Path, *, force: bool, folder: bool) -> None:
    """Look at a place before any work is done for it.

    Args:
        target: Where something is going to be written.
        force: Whether it may replace what is there.
        folder: Whether it is going to be a folder.

    Raises:
        ArchiveError: It is taken, or nothing can be written there.
    """
    parent = target.parent
    if parent.exists() and not parent.is_dir():
        raise ArchiveError(f"{parent} is not a folder.", hint="Check --export-path.")
    if os.path.lexists(target):
        if not force:
            raise _taken(target)
        if target.is_dir() is not folder:
            kind = "a folder" if target.is_dir() else "not a folder"
            raise ArchiveError(f"{target} is {kind}; it is not replaced.", hint="Move it away.")
        if folder and any(target.iterdir()) and not (target / MANIFEST_NAME).exists():
            raise ArchiveError(
                f"{target} is a folder that holds no archive; it is not replaced.",
                hint="Move it away, or write elsewhere with --export-path.",
            )
    if parent.is_dir() and not os.access(parent, os.W_OK | os.X_OK):
        raise ArchiveError(
            f"Nothing can be written in {parent}: permission denied.",
            hint="Write elsewhere with --export-path.",
        )


def real_path(path: str | Path) -> Path:
    """The absolute path behind all links; of a file that is not there, where it would be."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a NUL is in it, so there is no such file
        return Path(path)


def same_file(first: str | Path, second: str | Path) -> bool:
    """Whether two paths lead to one file, or would if it were there.

    Symbolic and hard links are followed, and a file system that ignores case is believed.
    """
    if real_path(first) == real_path(second):
        return True
    try:
        return os.path.samefile(first, second)  # noqa: PTH121 - takes text and paths
    except (OSError, ValueError):
        return False


def is_inside(path: str | Path, folder: str | Path) -> bool:
    """Whether a path is that folder, or would lie below it."""
    real = real_path(path)
    return any(same_file(parent, folder) for parent in (real, *real.parents))


def _open_unnamed(folder: Path) -> Partial | None:
    """A file without a name, or None where the system or the file system has none."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None:
        return None
    try:
        descriptor = os.open(folder, _OPEN | flag, 0o666)
    except OSError as error:
        if error.errno in {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT}:
            return None
        raise
    path = Path(f"/proc/self/fd/{descriptor}")
    if not path.exists():
        os.close(descriptor)
        return None
    locks.keep(descriptor)  # it has a name for a moment where it replaces another one
    return Partial(descriptor, path, named=False)


def _open_named(target: Path) -> Partial:
    while True:
        path = _beside(target)
        descriptor = os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, 0o666)
        if locks.keep(descriptor, path):
            return Partial(descriptor, path, named=True)
        os.close(descriptor)


def _made_folder(target: Path) -> tuple[Path, int]:
    """A new folder beside its place, and the descriptor that says that it is being filled."""
    while True:
        path = _beside(target)
        path.mkdir()
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY)
            if locks.keep(descriptor, path):
                return path, descriptor
            os.close(descriptor)


def _beside(target: Path) -> Path:
    import secrets  # seldom: most file systems take a file without a name

    return target.parent / f".{target.name}.{secrets.token_hex(4)}{PARTIAL_SUFFIX}"


def _clear_leftovers(folder: Path) -> None:
    """Remove what writers that were killed have left here; the living hold a lock."""
    with os.scandir(folder) as entries:
        left = [Path(entry.path) for entry in entries if _PARTIAL.fullmatch(entry.name)]
    for path in left:
        locks.clear_away(path, shutil.rmtree if path.is_dir() else os.unlink)


def _behind_links(target: Path, *, force: bool) -> Path:
    """Where a link leads that shall be written through."""
    return real_path(target) if force and target.is_symlink() else target


def _keep_mode(target: Path, descriptor: int, *, force: bool) -> None:
    """Give what is new the mode and, where that is allowed, the owner of what it replaces."""
    if not (force and target.exists()):
        return
    status = target.stat()
    if hasattr(os, "fchown"):
        with contextlib.suppress(OSError):
            os.fchown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode))


def check_unchanged(target: Path, expected: os.stat_result | None) -> None:
    """Make sure that a file still is as it was.

    Raises:
        ArchiveError: Somebody else has written to it, or put another in its place.
    """
    if expected is None:
        return
    found = target.stat()
    same = os.path.samestat(found, expected)
    if not same or (found.st_size, found.st_mtime_ns) != (expected.st_size, expected.st_mtime_ns):
        raise ArchiveError(f"{target} was changed by somebody else meanwhile.", hint="Try again.")


def _publish(partial: Partial, target: Path, *, force: bool) -> None:
    if not force:
        _link(partial, target)
    elif partial.named:
        partial.path.replace(target)
    else:
        beside = _beside(target)
        _link(partial, beside)
        beside.replace(target)


def _link(partial: Partial, target: Path) -> None:
    """Give the file a name unless that is taken, in one step."""
    folder = os.open(target.parent, os.O_RDONLY)
    try:  # the descriptor makes Python call linkat, which alone follows /proc's link
        os.link(partial.path, target, src_dir_fd=folder, follow_symlinks=True)
    except FileExistsError:
        raise _taken(target) from None
    except OSError:
        if not partial.named:
            raise
        _rename(partial.path, target)  # a file system without hard links
    finally:
        os.close(folder)


def _rename(partial: Path, target: Path) -> None:
    if os.path.lexists(target):
        raise _taken(target)
    try:
        partial.rename(target)
    except OSError as error:
        if target.exists():  # the other writer was quicker
            raise _taken(target) from error
        raise


def flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        return  # a file system that cannot flush folders
    finally:
        os.close(descriptor)


def _taken(target: Path) -> ArchiveError:
    return ArchiveError(f"{target} exists already.", hint="Add --force to replace it.")


def _check_room(folder: Path, needed: int) -> None:
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextlib.contextmanager
def _explained(target: Path, needed: int) -> Iterator[None]:
    """Say what an error of the operating system means for the archive."""
    try:
        _check_room(target.parent, needed)
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno not in NO_ROOM:
            raise ArchiveError(
                f"{target} was not written: {reason}.",
                hint="Check the folder and its rights, or write elsewhere with --export-path.",
            ) from error
        free = shutil.disk_usage(target.parent).free
        raise ArchiveError(
            f"{target} was not written: {reason}. It needs about {needed:,} bytes; {free:,} are "
            "free there.",
            hint="Make room, or write elsewhere with --export-path.",
        ) from error
