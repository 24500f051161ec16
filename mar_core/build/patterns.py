"""The files and folders that a pattern of ``--extra-files`` stands for."""

from __future__ import annotations

import glob
import os
import re
from fnmatch import fnmatchcase
from pathlib import Path

from mar_core.format.folders import LITTER_FOLDERS

__all__ = ["is_pattern", "matches"]

_ANY_FOLDERS = "**"


def is_pattern(text: str) -> bool:
    """Whether a path holds wildcards: ``*``, ``?`` or ``[...]``."""
    return re.search(r"[*?]|\[.*\]", text) is not None


def matches(pattern: str) -> list[Path]:
    """What a pattern matches, sorted; hidden files only where the pattern says the dot.

    With ``**``, which stands for any number of folders, only files: their folders match as well,
    and each file would come twice. Links to folders are not followed there.
    """
    parts = pattern.split("/")
    if _ANY_FOLDERS not in parts:
        return [Path(match) for match in sorted(glob.glob(pattern))]  # noqa: PTH207 - same results
    fixed = next(index for index, part in enumerate(parts) if is_pattern(part))
    folder = "/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else ".")
    return [Path(folder, *found) for found in _files(folder) if _fits(found, tuple(parts[fixed:]))]


def _files(folder: str) -> list[tuple[str, ...]]:
    """Every file below a folder, as the parts of its path."""
    found = []
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in LITTER_FOLDERS]
        above = Path(here).relative_to(folder).parts
        found += [(*above, name) for name in files]
    return sorted(found)


def _fits(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not path
    first, rest = pattern[0], pattern[1:]
    if not path:
        return first == _ANY_FOLDERS and _fits(path, rest)
    hidden = path[0].startswith(".") and not first.startswith(".")
    if first == _ANY_FOLDERS:
        return _fits(path, rest) or (not hidden and _fits(path[1:], pattern))
    return not hidden and fnmatchcase(path[0], first) and _fits(path[1:], rest)
