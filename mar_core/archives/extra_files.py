"""What ``--extra-files`` means: comma lists, patterns, folders, and where each file lands."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mar_core.archives.folders import files_below, is_litter
from mar_core.errors import UsageError
from mar_core.findings import Finding, Severity

__all__ = ["Item", "Placed", "place", "split_items"]

NO_MATCH = "MAR-R010"
LEFT_OUT = "MAR-R011"


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of ``--extra-files``.

    Attributes:
        source: The file, folder or pattern.
        target: The folder of the archive that it goes to, or for a file its new name; None puts it
            at the root as torch-model-archiver does.
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
    Other strings are comma lists: spaces around an item do not count, quotes or a backslash keep a
    comma in a path.

    Raises:
        UsageError: A quote is not closed.
    """
    items = []
    for value in values:
        if isinstance(value, Path) or Path(value).exists():
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
        if not _is_pattern(item.source):
            found = _place_one(Path(item.source), item.target, leave_out)
        else:
            matches = _matches(item.source)
            found = [f for match in matches for f in _place_one(match, item.target, leave_out)]
            if not matches:
                findings.append(_warn(NO_MATCH, f"The pattern {item.source!r} matches no file."))
        placed.extend(found)
    return placed, findings


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
    if not equals or Path(text).exists():
        return Item(text)
    return Item(source.strip(), target.strip())


def _is_pattern(source: str) -> bool:
    return bool(re.search(r"[*?]|\[.*\]", source)) and not Path(source).exists()


def _matches(pattern: str) -> list[Path]:
    found = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207
    if "**" in pattern:  # every folder below is matched too, and its files with it
        return [match for match in found if match.is_file()]
    return found


def _place_one(source: Path, target: str | None, leave_out: frozenset[Path]) -> list[Placed]:
    if source.is_dir():
        prefix = PurePosixPath(target or "")
        return [
            Placed(str(prefix / name), path)
            for name, path in files_below(source, leave_out=leave_out)
        ]
    if not source.exists():
        raise UsageError(f"There is no file {str(source)!r}.", hint="Check --extra-files.")
    if not source.is_file():
        raise UsageError(f"{source} is neither a file nor a folder.", hint="Check --extra-files.")
    if is_litter(source) or source.resolve() in leave_out:
        return []
    if target is None:
        return [Placed(source.name, source)]
    name = f"{target}{source.name}" if target.endswith("/") else target
    return [Placed(str(PurePosixPath(name)), source)]


def _warn(code: str, message: str) -> Finding:
    return Finding(
        code=code, message=message, severity=Severity.WARNING, hint="Check --extra-files."
    )
