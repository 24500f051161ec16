"""Writes a file or a folder beside its place and moves it there when it is whole."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.archives.folders import PARTIAL_SUFFIX
from mar_core.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["exists_error", "new_file", "new_folder"]

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def new_file(target: Path, *, force: bool, needed: int) -> Iterator[tuple[int, Path]]:
    """Write a file that appears under its name only when it is whole and on the disk.

    Args:
        target: Where it goes.
        force: Replace a file that is there; otherwise of two writers one fails.
        needed: The bytes that it will take, about, for the message when there is no room.

    Yields:
        The open descriptor and the temporary path. Whatever is raised inside, and whatever signal
        raises an exception, nothing is left and an older file is as it was.

    Raises:
        ArchiveError: The place is taken, cannot be written to, or is full.
    """
    partial = _partial(target)
    with _explained(target, needed):
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with _closing(descriptor):
                yield descriptor, partial
                os.fsync(descriptor)
            _publish(partial, target, force=force)
        finally:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(target: Path, *, force: bool, needed: int) -> Iterator[Path]:
    """Fill a folder that appears under its name only when it is whole; like ``new_file``."""
    partial = _partial(target)
    with _explained(target, needed):
        partial.mkdir()
        try:
            yield partial
            if force and target.exists():
                _exchange(partial, target)
            else:
                _rename_new(partial, target)
            _flush_folder(target.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def exists_error(target: Path) -> ArchiveError:
    """The error for a place that is taken."""
    return ArchiveError(f"{target} exists already.", hint="Add --force to replace it.")


def _partial(target: Path) -> Path:
    return target.parent / f".{target.name}.{secrets.token_hex(4)}{PARTIAL_SUFFIX}"


def _publish(partial: Path, target: Path, *, force: bool) -> None:
    if force:
        partial.replace(target)
    else:
        _link(partial, target)
    _flush_folder(target.parent)


def _link(partial: Path, target: Path) -> None:
    """Give the file its name unless that is taken, in one step."""
    try:
        os.link(partial, target)
    except FileExistsError:
        raise exists_error(target) from None
    except OSError:  # a file system without hard links
        if target.exists():
            raise exists_error(target) from None
        partial.replace(target)


def _rename_new(partial: Path, target: Path) -> None:
    try:
        partial.rename(target)  # a folder that is not empty is never replaced
    except OSError as error:
        if target.exists():
            raise exists_error(target) from error
        raise


def _exchange(partial: Path, target: Path) -> None:
    old = _partial(target)
    target.rename(old)
    try:
        partial.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    with _closing(descriptor), contextlib.suppress(OSError):  # some file systems cannot
        os.fsync(descriptor)


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _explained(target: Path, needed: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            free = shutil.disk_usage(target.parent).free
            raise ArchiveError(
                f"{target} was not written: it needs about {needed:,} bytes, {free:,} are free "
                f"({error.strerror}).",
                hint="Make room, or write elsewhere with --export-path.",
            ) from error
        raise ArchiveError(
            f"{target} was not written: {error.strerror or error}.",
            hint="Check the rights of the folder, or write elsewhere with --export-path.",
        ) from error
