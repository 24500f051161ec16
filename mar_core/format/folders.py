"""Walks a folder whose files go into an archive, and leaves out what never should."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

from mar_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["PARTIAL_SUFFIX", "files_below", "is_litter"]

PARTIAL_SUFFIX = ".mar-partial"
LITTER_FOLDERS = frozenset({"__pycache__", "__MACOSX"})
LITTER_FILE = re.compile(rf".*\.pyc|\.DS_Store|\..*{re.escape(PARTIAL_SUFFIX)}")


def is_litter(path: Path) -> bool:
    """Whether a file is bytecode, a file manager's, or what a killed run left behind."""
    return LITTER_FILE.fullmatch(path.name) is not None


def files_below(
    folder: Path, *, leave_out: frozenset[Path] = frozenset()
) -> Iterator[tuple[str, Path]]:
    """The files of a folder and its subfolders, sorted, with their paths relative to it.

    Hidden folders, ``__pycache__`` and ``__MACOSX`` stay out, as with torch-model-archiver; so do
    ``.pyc`` and ``.DS_Store`` files.

    Args:
        folder: The folder; links in it are followed as long as they stay inside.
        leave_out: Resolved paths of files and folders that stay out.

    Raises:
        UsageError: A link leaves the folder or leads nowhere, or something is no regular file.
    """
    root = folder.resolve()
    yield from _walk(folder, root, "", leave_out, (root,))


def _walk(
    folder: Path, root: Path, prefix: str, leave_out: frozenset[Path], above: tuple[Path, ...]
) -> Iterator[tuple[str, Path]]:
    for path in _entries(folder):
        name = path.name
        real = _inside(path, root)
        if real in leave_out:
            continue
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            if name in LITTER_FOLDERS or name.startswith("."):
                continue
            if real in above:
                raise UsageError(f"{path} is a link to a folder that holds it.")
            yield from _walk(path, root, f"{prefix}{name}/", leave_out, (*above, real))
        elif not stat.S_ISREG(mode):
            raise UsageError(f"{path} is neither a file nor a folder.", hint="Leave it out.")
        elif not is_litter(path):
            yield f"{prefix}{name}", path


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"The folder {folder} cannot be read: {error.strerror}.") from error


def _inside(path: Path, root: Path) -> Path:
    """The real path, which must exist and lie below the root."""
    if not path.is_symlink():
        return path.resolve()
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise UsageError(f"The link {path} leads nowhere.", hint="Remove or mend it.") from error
    if not real.is_relative_to(root):
        raise UsageError(
            f"The link {path} leads out of {root}, to {real}.",
            hint="Give that file by itself with --extra-files, or copy it into the folder.",
        )
    return real
