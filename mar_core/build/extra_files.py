"""What ``--extra-files`` means: comma lists, patterns, folders, and where each file lands.

Links are followed, as torch-model-archiver does: a folder of Hugging Face's cache holds nothing
else. One that leads out of the folder that was named is told, since it may not be meant.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mar_core.errors import UsageError
from mar_core.format.atomic import PARTIAL_SUFFIX
from mar_core.format.codes import finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.findings import Finding

__all__ = ["ExtraItem", "PackedFile", "expand_items", "files_below", "split_items"]

_ANY_FOLDERS = "**"
# What never belongs into an archive: bytecode, file managers' files, what a killed run left behind.
_LITTER_FOLDERS = frozenset({"__pycache__", "__MACOSX"})
_LITTER_FILE = re.compile(rf".*\.pyc|\.DS_Store|\..*{re.escape(PARTIAL_SUFFIX)}")


@dataclass(frozen=True, slots=True)
class ExtraItem:
    """One entry of ``--extra-files``.

    Attributes:
        source: The file, folder or pattern.
        target: The folder of the archive that it goes to, ending in ``/``, or for a file its new
            name; None puts it at the root as torch-model-archiver does.
    """

    source: str
    target: str | None = None


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file of this machine and its place in the archive."""

    name: str
    source: Path


def split_items(values: tuple[str | Path, ...]) -> list[ExtraItem]:
    """Take ``--extra-files`` apart.

    A ``Path``, and a string that is the path of something that exists, is one item as it stands.
    Other strings are comma lists: spaces around an item do not count, quotes around it or a
    backslash keep a comma in its path.

    Raises:
        UsageError: A quote is not closed.
    """
    items = []
    for value in values:
        if isinstance(value, Path) or _exists(value):
            items.append(ExtraItem(str(value)))
        else:
            items.extend(_item(text) for text in _split_commas(value))
    return items


def expand_items(
    items: list[ExtraItem], *, leave_out: frozenset[Path] = frozenset()
) -> tuple[list[PackedFile], list[Finding]]:
    """Find the files that the items stand for, and where each goes.

    Args:
        items: What was asked for.
        leave_out: Resolved paths that stay out: the archive that is being written.

    Returns:
        The files, and warnings about items that came to nothing and about links that lead out.

    Raises:
        UsageError: Something does not exist, or is no file or folder; a link leads nowhere.
    """
    found: list[PackedFile] = []
    findings: list[Finding] = []
    for item in items:
        pattern = _is_pattern(item.source) and not _exists(item.source)
        sources = _matches(item.source) if pattern else [Path(item.source)]
        files: list[PackedFile] = []
        for source in sources:
            files += _packed(source, item.target, leave_out)
            if source.is_dir():
                findings += _outside(source, files)
        if pattern and not sources:
            findings.append(finding("MAR-E001", f"The pattern {item.source!r} matches no file."))
        elif not pattern and not files and sources[0].is_file():
            findings.append(finding("MAR-E002", f"{item.source} stays out of the archive."))
        found.extend(files)
    return found, findings


def _exists(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for a name that is too long


def _split_commas(text: str) -> list[str]:
    parts, current, quote = [], "", ""
    chars = iter(text)
    for char in chars:
        if quote:
            current, quote = (current, "") if char == quote else (current + char, quote)
        elif char in "\"'" and not current.strip():
            current, quote = "", char
        elif char == "\\":
            following = next(chars, "")
            current += following if following == "," else char + following
        elif char == ",":
            parts.append(current.strip())
            current = ""
        else:
            current += char
    if quote:
        raise UsageError(f"--extra-files {text}: the quote {quote} is not closed.")
    return [part for part in (*parts, current.strip()) if part]


def _item(text: str) -> ExtraItem:
    source, equals, target = text.rpartition("=")
    if not equals or _exists(text):
        return ExtraItem(text)
    return ExtraItem(source.strip(), target.strip())


def _packed(source: Path, target: str | None, leave_out: frozenset[Path]) -> list[PackedFile]:
    if source.is_dir():
        folder = PurePosixPath(target or "")
        below = files_below(source, leave_out)
        return [PackedFile(str(folder / name), path) for name, path in below]
    if not source.exists():
        raise UsageError(f"There is no file {str(source)!r}.", hint="Check --extra-files.")
    if not source.is_file():
        raise UsageError(f"{source} is neither a file nor a folder.", hint="Check --extra-files.")
    if _LITTER_FILE.fullmatch(source.name) or source.resolve() in leave_out:
        return []
    name = source.name if target is None else target
    return [PackedFile(f"{name}{source.name}" if name.endswith("/") else name, source)]


def _outside(folder: Path, files: list[PackedFile]) -> Iterator[Finding]:
    """A warning where links of a folder lead out of it, to other places than a cache's blobs."""
    root = folder.resolve()
    blobs = root.parent.parent / "blobs"  # Hugging Face's: snapshots/REVISION/FILE -> ../../blobs
    out = []
    for file in files:
        real = file.source.resolve()
        if not real.is_relative_to(root) and not real.is_relative_to(blobs):
            out.append((file.source, real))
    if out:
        (link, real), count = out[0], len(out)
        several = f"{count} files lead" if count > 1 else "A file leads"
        message = f"{several} out of {folder} by a link, such as {link} to {real}."
        yield finding("MAR-E003", message)


def files_below(
    folder: Path, leave_out: frozenset[Path] = frozenset()
) -> Iterator[tuple[str, Path]]:
    """The files of a folder and its subfolders, sorted, with their paths relative to it.

    Hidden folders, ``__pycache__`` and ``__MACOSX`` stay out, as with torch-model-archiver.

    Raises:
        UsageError: A link leads nowhere or to a folder that holds it; something is no file.
    """
    return _walk(folder, "", leave_out, (folder.resolve(),))


def _walk(
    folder: Path, prefix: str, leave_out: frozenset[Path], above: tuple[Path, ...]
) -> Iterator[tuple[str, Path]]:
    for path in _entries(folder):
        name = path.name
        real = _real(path)
        if real in leave_out:
            continue
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            if name in _LITTER_FOLDERS or name.startswith("."):
                continue
            if any(parent.is_relative_to(real) for parent in above):
                raise UsageError(
                    f"{path} is a link to a folder that holds it.", hint="Remove the link."
                )
            yield from _walk(path, f"{prefix}{name}/", leave_out, (*above, real))
        elif not stat.S_ISREG(mode):
            raise UsageError(f"{path} is neither a file nor a folder.", hint="Leave it out.")
        elif not _LITTER_FILE.fullmatch(name):
            yield f"{prefix}{name}", path


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"The folder {folder} cannot be read: {error.strerror}.") from error


def _real(path: Path) -> Path:
    """Where a path leads."""
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise UsageError(f"The link {path} leads nowhere.", hint="Remove or mend it.") from error


def _is_pattern(text: str) -> bool:
    """Whether a path holds wildcards: ``*``, ``?`` or ``[...]``."""
    return re.search(r"[*?]|\[.*\]", text) is not None


def _matches(pattern: str) -> list[Path]:
    """What a pattern matches, sorted; hidden files only where the pattern says the dot.

    With ``**``, which stands for any number of folders, only files: their folders match as well,
    and each file would come twice. Links to folders are not followed there.
    """
    parts = pattern.split("/")
    if _ANY_FOLDERS not in parts:
        return [Path(match) for match in sorted(glob.glob(pattern))]  # noqa: PTH207 - same results
    fixed = next(index for index, part in enumerate(parts) if _is_pattern(part))
    folder = "/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else ".")
    return [Path(folder, *found) for found in _files(folder) if _fits(found, tuple(parts[fixed:]))]


def _files(folder: str) -> list[tuple[str, ...]]:
    """Every file below a folder, as the parts of its path."""
    found = []
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LITTER_FOLDERS]
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
