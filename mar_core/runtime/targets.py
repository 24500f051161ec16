"""Where results go: what can go wrong there, as a sentence, and files that appear whole."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mar_core.errors import OutputError
from mar_core.format import locks
from mar_core.format.atomic import NO_ROOM, PARTIAL_SUFFIX, real_path
from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["named", "replaced", "sweep", "writing"]

LONGEST_NAME = 100
try:
    _STARTED: Path | None = Path.cwd()
except OSError:  # it has been removed
    _STARTED = None
# What `replaced` calls a file until it is whole; earlier versions left the suffix out.
_PARTIAL = re.compile(rf"\.(.+)\.[0-9a-f]{{8}}({re.escape(PARTIAL_SUFFIX)})?")


def named(path: Path) -> str:
    """A path as it is written from the folder in which mar was started."""
    if _STARTED is not None and path.is_relative_to(_STARTED):
        path = path.relative_to(_STARTED)
    return printable(str(path))


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what goes wrong with an output into an ``OutputError`` that names it.

    Raises:
        OutputError: The disk is full, or the place cannot be written to.
    """
    name = named(path)
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise OutputError(
                f"There is no room left to write {name}; the rows written before are whole.",
                hint="Make room, then run the same command with --resume.",
            ) from error
        reason = (error.strerror or str(error)).rstrip(".")
        raise OutputError(f"{name} cannot be written: {reason}.") from error


@contextlib.contextmanager
def replaced(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Write a file beside its place and give it its name when it is whole.

    A link stays a link: what it leads to is replaced. An older file's mode is kept.

    Args:
        path: The file; its folder is made where it is missing.
        sync: Wait until it is on the disk.

    Yields:
        The stream to write to. Whatever is raised inside, an older file stays as it was.
    """
    target = real_path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = _open_partial(target)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            with contextlib.suppress(FileNotFoundError):
                os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))
            if sync:
                os.fsync(descriptor)
            partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def sweep(folder: Path, *names: str) -> None:
    """Remove what killed runs left half-written in a folder; what is being written stays.

    Args:
        folder: The folder.
        names: Of these files alone; without any, whatever has our suffix.
    """
    shortened = {name[-LONGEST_NAME:] for name in names}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _PARTIAL.fullmatch(entry.name)
            if found and (found[1] in shortened if names else found[2]):
                locks.clear_away(Path(entry.path), os.unlink)


def _open_partial(target: Path) -> tuple[int, Path]:
    """A new file beside a place, locked: only what nobody writes any more is swept away."""
    while True:
        name = f".{target.name[-LONGEST_NAME:]}.{secrets.token_hex(4)}{PARTIAL_SUFFIX}"
        partial = target.parent / name
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        if locks.keep(descriptor, partial):
            return descriptor, partial
        os.close(descriptor)  # swept away before the lock was ours
