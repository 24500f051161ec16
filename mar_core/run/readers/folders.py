"""The files below a folder, or those that a pattern names, in one order on every machine."""

from __future__ import annotations

import fnmatch
import glob
import os
import stat
from typing import TYPE_CHECKING

from mar_core.errors import InputError
from mar_core.run.outputs import Outputs, is_note
from mar_core.run.readers.sources import filesystem_of, is_url, reading
from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["find_files", "is_folder", "is_included", "is_pattern"]

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


def find_files(
    source: str, include: tuple[str, ...], outputs: Outputs | None = None
) -> Iterator[str]:
    """The files of a folder, recursively, or of a pattern, sorted by name.

    What a run writes or has noted beside its output is none of them; nor are, in a folder, the
    results of an earlier run, unless a pattern takes them.

    Args:
        source: A folder or a pattern; ``**`` stands for any number of folders.
        include: Take only what fits one of these patterns; a folder's files alone are asked.
        outputs: What the run writes.

    Raises:
        InputError: It cannot be listed, or there are none.
    """
    number = 0
    with reading(source):
        for number, path in enumerate(_candidates(source, include, outputs or Outputs()), 1):  # noqa: B007
            yield path
    if not number:
        fitting = f" that fits {' or '.join(include)}" if include and is_folder(source) else ""
        what = "The folder {} holds no file" if is_folder(source) else "No file fits {}"
        raise InputError(f"{what.format(printable(source))}{fitting}.")


def is_included(path: str, include: tuple[str, ...]) -> bool:
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


def _candidates(source: str, include: tuple[str, ...], outputs: Outputs) -> Iterator[str]:
    if is_url(source):
        yield from _remote(source, include)
    elif is_folder(source):
        yield from _below(source, "", include, outputs, ())
    else:
        for path in sorted(glob.iglob(source, recursive=True)):  # noqa: PTH207 - keeps `./` as given
            if outputs.holds(path) or is_note(path) or _is_special(path):
                continue
            if is_folder(path):
                yield from _below(path, "", include, outputs, ())
            else:
                yield path


def _below(
    root: str,
    inner: str,
    include: tuple[str, ...],
    outputs: Outputs,
    above: tuple[tuple[int, int], ...],
) -> Iterator[str]:
    """The files below ``root/inner``; links to folders are followed, but not in circles."""
    folder = os.path.join(root, inner) if inner else root  # noqa: PTH118
    status = os.stat(folder)  # noqa: PTH116
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    left_out = _written(folder, found, outputs, results=not include)
    kinds = [(entry.name, entry.is_dir(), entry.is_file()) for entry in found]
    for name, is_dir, is_file in kinds:
        path = f"{inner}/{name}" if inner else name
        if name in left_out:
            continue
        if is_dir and is_included(path, ()):
            yield from _below(root, path, include, outputs, (*above, here))
        elif not is_dir and is_included(path, include):
            whole = os.path.join(root, path)  # noqa: PTH118
            if is_file or not _is_special(whole):
                yield whole


def _is_special(path: str) -> bool:
    """Whether this is a pipe, a socket or a device: opening one that was found may never end."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _written(
    folder: str, found: list[os.DirEntry[str]], outputs: Outputs, *, results: bool
) -> set[str]:
    """Which entries this run writes, and what earlier runs have left in the folder."""
    inodes = {inode for _, inode in outputs.identities()}
    written: set[str] = set()
    for entry in found:
        # A link has an inode of its own: it must be followed.
        if (entry.inode() in inodes or entry.is_symlink()) and outputs.holds(entry.path):
            written.add(entry.name)
        elif entry.name.endswith(".run") and is_note(os.path.join(folder, entry.name)):  # noqa: PTH118
            output = entry.name.removesuffix(".run")
            written |= {entry.name, f"{output}.part"} | ({output} if results else set())
    return written


def _remote(source: str, include: tuple[str, ...]) -> Iterator[str]:
    filesystem, path = filesystem_of(source)
    folder = path.rstrip("/")
    found = filesystem.find(path) if is_folder(source) else filesystem.glob(path)
    for name in sorted(found):
        inner = name[len(folder) :].lstrip("/") if is_folder(source) else name.rpartition("/")[2]
        if is_included(inner, include if is_folder(source) else ()):
            yield filesystem.unstrip_protocol(name)
