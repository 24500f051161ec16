"""The files below a folder, or those that a pattern names, in one order on every machine."""

from __future__ import annotations

import fnmatch
import glob
import os
from typing import TYPE_CHECKING

from mar_core.errors import InputError
from mar_core.findings import printable
from mar_core.run.readers.sources import filesystem_of, is_url, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["find_files", "is_folder", "is_pattern", "wanted"]

# Left behind by operating systems and archivers, never meant as inputs.
CLUTTER = {"__MACOSX", "Thumbs.db", "desktop.ini"}


def is_folder(source: str) -> bool:
    """Whether a source is a folder; a URL is one when it ends in ``/``."""
    return source.endswith("/") if is_url(source) else os.path.isdir(source)  # noqa: PTH112


def is_pattern(source: str) -> bool:
    """Whether a source is a glob pattern and not the name of something that is there.

    Of a URL, ``*`` alone makes a pattern: ``?`` begins the query of a web address.
    """
    if is_url(source):
        return "*" in source
    return glob.has_magic(source) and not os.path.lexists(source)


def find_files(source: str, include: tuple[str, ...]) -> Iterator[str]:
    """The files of a folder, recursively, or of a pattern, sorted by name.

    Args:
        source: A folder or a pattern; ``**`` stands for any number of folders.
        include: Take only what fits one of these patterns; a folder's files alone are asked.

    Raises:
        InputError: It cannot be listed, or there are none.
    """
    number = 0
    with reading(source):
        for number, path in enumerate(_candidates(source, include), start=1):  # noqa: B007
            yield path
    if not number:
        fitting = f" that fits {' or '.join(include)}" if include and is_folder(source) else ""
        what = "The folder {} holds no file" if is_folder(source) else "No file fits {}"
        raise InputError(f"{what.format(printable(source))}{fitting}.")


def wanted(path: str, include: tuple[str, ...]) -> bool:
    """Whether a file below a folder is meant: not hidden, no clutter, and fitting a pattern.

    Args:
        path: Relative to the folder, ``/`` between parts.
        include: Patterns for the file's name, or for the path where they hold a ``/``; empty takes
            every file.
    """
    parts = path.split("/")
    if any(part.startswith(".") or part in CLUTTER for part in parts):
        return False
    name = parts[-1]
    return not include or any(
        fnmatch.fnmatchcase(path if "/" in pattern else name, pattern) for pattern in include
    )


def _candidates(source: str, include: tuple[str, ...]) -> Iterator[str]:
    if is_url(source):
        yield from _remote(source, include)
    elif is_folder(source):
        yield from _below(source, "", include, ())
    else:
        for path in sorted(glob.iglob(source, recursive=True)):  # noqa: PTH207 - keeps `./` as given
            if is_folder(path):
                yield from _below(path, "", include, ())
            else:
                yield path


def _below(
    root: str, inner: str, include: tuple[str, ...], above: tuple[tuple[int, int], ...]
) -> Iterator[str]:
    """The files below ``root/inner``; links to folders are followed, but not in circles."""
    folder = os.path.join(root, inner) if inner else root  # noqa: PTH118
    status = os.stat(folder)  # noqa: PTH116
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    with os.scandir(folder) as entries:
        found = sorted((entry.name, entry.is_dir()) for entry in entries)
    for name, is_dir in found:
        path = f"{inner}/{name}" if inner else name
        if is_dir and wanted(path, ()):
            yield from _below(root, path, include, (*above, here))
        elif not is_dir and wanted(path, include):
            yield os.path.join(root, path)  # noqa: PTH118


def _remote(source: str, include: tuple[str, ...]) -> Iterator[str]:
    filesystem, path = filesystem_of(source)
    folder = path.rstrip("/")
    found = filesystem.find(path) if is_folder(source) else filesystem.glob(path)
    for name in sorted(found):
        inner = name[len(folder) :].lstrip("/") if is_folder(source) else name.rpartition("/")[2]
        if wanted(inner, include if is_folder(source) else ()):
            yield filesystem.unstrip_protocol(name)
