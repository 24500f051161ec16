"""Where the cache of unpacked archives lies, how much it may hold, and that it is ours alone."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path

from mar_core.errors import ArchiveError
from mar_core.format.limits import parse_size

__all__ = [
    "DIRECTORY_VARIABLE", "SIZE_VARIABLE", "UnusableError", "bound", "cache_folder",
    "memory_place", "prepared_memory", "prepared_place", "prepared_root",
]  # fmt: skip

DIRECTORY_VARIABLE = "MAR_CACHE_DIR"
SIZE_VARIABLE = "MAR_CACHE_SIZE"
DEFAULT_SIZE = 20 << 30
_LAYOUT = "unpacked-1"
_MEMORY = "/dev/shm"  # noqa: S108 - what is made there is ours alone
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Made by mar; backups may leave it out.\n"


class UnusableError(ArchiveError):
    """No file can be put into the cache."""


def bound() -> int:
    """The bytes that the cache may hold, ``MAR_CACHE_SIZE`` or 20 GiB.

    Raises:
        UsageError: The variable is no size.
    """
    text = os.environ.get(SIZE_VARIABLE)
    return parse_size(text, name=SIZE_VARIABLE) if text else DEFAULT_SIZE


def cache_folder() -> Path:
    """The cache's folder, which need not exist: ``MAR_CACHE_DIR``, or the system's place for it."""
    return _root() / _LAYOUT


def prepared_place() -> Path:
    """The folder of unpacked archives, made where it is missing; see ``prepared_root``.

    Raises:
        ArchiveError: It cannot be made, or somebody else could put files there.
    """
    folder = prepared_root() / _LAYOUT
    _prepare(folder)
    return folder


def memory_place() -> Path:
    """The same folder in memory, which need not exist: for small files where no disk takes them."""
    of = hashlib.sha256(os.fsencode(_root())).hexdigest()[:8]
    return Path(_MEMORY, f"mar-{_user()}-{of}", _LAYOUT)


def prepared_memory() -> Path:
    """That folder, made where it is missing.

    Raises:
        ArchiveError: The machine has none, or somebody else could put files there.
    """
    folder = memory_place()
    _prepare(folder.parent)
    _prepare(folder)
    return folder


def prepared_root() -> Path:
    """The cache's folder, made where it is missing, and known to be ours alone to write.

    Raises:
        ArchiveError: It cannot be made, or somebody else could put files there.
    """
    root = _root()
    _prepare(root)
    tag = root / "CACHEDIR.TAG"
    if not tag.exists():
        with contextlib.suppress(OSError):  # a full disk, or one that is read-only
            tag.write_text(_TAG, encoding="ascii")
    return root


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise UnusableError(
            f"The cache folder {folder} cannot be made: {error.strerror}.",
            hint=f"Name another one with {DIRECTORY_VARIABLE}.",
        ) from error
    _check_ours(folder, status)


def _check_ours(folder: Path, status: os.stat_result) -> None:
    if not hasattr(os, "geteuid"):  # Windows: the profile's folder is the user's own
        return
    if status.st_uid != os.geteuid():
        raise ArchiveError(
            f"The cache folder {folder} belongs to another user.",
            hint=f"Name another one with {DIRECTORY_VARIABLE}.",
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ArchiveError(
            f"Others may write to the cache folder {folder}.", hint=f"Run: chmod 700 '{folder}'"
        )


def _root() -> Path:
    named = os.environ.get(DIRECTORY_VARIABLE)
    if named:
        return Path(named).absolute()
    from platformdirs import user_cache_path

    try:
        usual = user_cache_path("mar", appauthor=False)
    except RuntimeError:  # nobody knows a home folder; older platformdirs gives a relative path
        return _temporary_place()
    return usual if usual.is_absolute() and _can_be_made(usual) else _temporary_place()


def _temporary_place() -> Path:
    try:
        return Path(tempfile.gettempdir(), f"mar-{_user()}")
    except FileNotFoundError:  # no folder for temporary files takes one
        return Path(_MEMORY, f"mar-{_user()}")


def _user() -> int | str:
    return os.getuid() if hasattr(os, "getuid") else os.getlogin()


def _can_be_made(folder: Path) -> bool:
    nearest = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    return os.access(nearest, os.W_OK | os.X_OK)
