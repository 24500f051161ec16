"""What ``--extra-files`` means: comma lists, patterns, folders, and where each file lands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mar_core.build.patterns import is_pattern, matches
from mar_core.errors import UsageError
from mar_core.format.codes import finding
from mar_core.format.folders import files_below, is_litter

if TYPE_CHECKING:
    from mar_core.findings import Finding

__all__ = ["Item", "Placed", "place", "split_items"]


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of ``--extra-files``.

    Attributes:
        source: The file, folder or pattern.
        target: The folder of the archive that it goes to, ending in ``/``, or for a file its new
            name; None puts it at the root as torch-model-archiver does.
    """

    source: str
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A file of this machine and its place in the archive."""

    name: str
    source: Path


def split_items(values: tuple[str | Path, ...]) -> list[Item]:
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
            items.append(Item(str(value)))
        else:
            items.extend(_item(text) for text in _split_commas(value))
    return items


def place(
    items: list[Item], *, leave_out: frozenset[Path] = frozenset()
) -> tuple[list[Placed], list[Finding]]:
    """Find the files that the items stand for, and where each goes.

    Args:
        items: What was asked for.
        leave_out: Resolved paths that stay out: the archive that is being written.

    Returns:
        The files, and warnings about items that came to nothing.

    Raises:
        UsageError: Something does not exist, is no file or folder, or is a link out of its folder.
    """
    placed: list[Placed] = []
    findings: list[Finding] = []
    for item in items:
        pattern = is_pattern(item.source) and not _exists(item.source)
        sources = matches(item.source) if pattern else [Path(item.source)]
        files = [file for source in sources for file in _place(source, item.target, leave_out)]
        if pattern and not sources:
            findings.append(finding("MAR-E001", f"The pattern {item.source!r} matches no file."))
        elif not pattern and not files and sources[0].is_file():
            findings.append(finding("MAR-E002", f"{item.source} stays out of the archive."))
        placed.extend(files)
    return placed, findings


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


def _item(text: str) -> Item:
    source, equals, target = text.rpartition("=")
    if not equals or _exists(text):
        return Item(text)
    return Item(source.strip(), target.strip())


def _place(source: Path, target: str | None, leave_out: frozenset[Path]) -> list[Placed]:
    if source.is_dir():
        folder = PurePosixPath(target or "")
        found = files_below(source, leave_out=leave_out)
        return [Placed(str(folder / name), path) for name, path in found]
    if not source.exists():
        raise UsageError(f"There is no file {str(source)!r}.", hint="Check --extra-files.")
    if not source.is_file():
        raise UsageError(f"{source} is neither a file nor a folder.", hint="Check --extra-files.")
    if is_litter(source) or source.resolve() in leave_out:
        return []
    name = source.name if target is None else target
    return [Placed(f"{name}{source.name}" if name.endswith("/") else name, source)]
