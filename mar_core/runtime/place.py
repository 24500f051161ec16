"""Where results go: what can go wrong there, as a sentence, and files that appear whole."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from typing import TYPE_CHECKING, BinaryIO

from mar_core.errors import OutputError
from mar_core.findings import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["replaced", "writing"]

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what goes wrong with an output into an ``OutputError`` that names it.

    Raises:
        OutputError: The disk is full, or the place cannot be written to.
    """
    name = printable(str(path))
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise OutputError(
                f"There is no room left to write {name}; the rows written before are whole.",
                hint="Make room, then run the same command with --resume.",
            ) from error
        reason = (error.strerror or str(error)).rstrip(".")
        raise OutputError(f"{name} cannot be written: {reason}.") from error


@contextlib.contextmanager
def replaced(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Write a file beside its place and give it its name when it is whole.

    Args:
        path: The file; its folder is made where it is missing.
        sync: Wait until it is on the disk.

    Yields:
        The stream to write to. Whatever is raised inside, an older file stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f".{path.name[-100:]}.{secrets.token_hex(4)}"
    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            if sync:
                os.fsync(descriptor)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
