"""The names of members: one set of rules for everything that is written, read or unpacked.

Archives travel, so a name must mean the same file on every system. Names are refused, never
repaired: a reader that mends ``../handler.py`` runs something else than the one that did not.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from mar_core.format.codes import finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mar_core.findings import Finding

__all__ = ["check_name", "check_names", "folded"]

MAX_PART, MAX_PATH, MAX_DEPTH = 255, 1024, 32
_DRIVE = re.compile(r"[A-Za-z]:")
_RESERVED = re.compile(
    r"(?:CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³]|CONIN\$|CONOUT\$)\Z", re.IGNORECASE
)
# Characters that change how the text around them is shown: marks, embeddings, overrides, isolates.
_DIRECTION = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
)
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_WINDOWS = re.compile(r'[<>"|?*]')


def check_name(name: str) -> list[Finding]:
    """What is wrong with the name of one member.

    Args:
        name: The path in the archive, ``/`` between parts, without a trailing ``/``.

    Returns:
        The findings; none for a good name.
    """
    return [finding(code, message, member=name) for code, message in _faults(name)]


def check_names(files: Iterable[str], folders: Iterable[str] = ()) -> list[Finding]:
    """What is wrong with the names of an archive, one by one and together.

    Args:
        files: The name of each file member.
        folders: The name of each folder member, without the trailing ``/``.
    """
    files, folders = list(files), list(folders)
    findings = [found for name in (*files, *folders) for found in check_name(name)]
    return [*findings, *_collisions(files, folders)]


def _faults(name: str) -> Iterator[tuple[str, str]]:
    parts = name.split("/")
    yield from _places(name, parts)
    yield from _characters(name)
    yield from _lengths(name, parts)
    for part in parts:
        if _RESERVED.match(part.split(".")[0].rstrip(" ")):
            yield "MAR-N005", "The name is reserved on Windows for a device."
        elif part not in {".", ".."} and part.endswith((".", " ")):
            yield "MAR-N006", "A part of the name ends with a dot or a space."


def _places(name: str, parts: list[str]) -> Iterator[tuple[str, str]]:
    if name.startswith(("/", "\\")) or _DRIVE.match(name):
        yield "MAR-N001", "The name is an absolute path."
    elif ".." in re.split(r"[/\\]", name):
        yield "MAR-N001", "The name leads outside the archive with '..'."
    elif "." in parts or "" in parts:
        yield "MAR-N002", "The name has an empty part or a '.' between slashes."


def _characters(name: str) -> Iterator[tuple[str, str]]:
    if "\\" in name:
        yield "MAR-N003", "The name holds a backslash, which separates folders on Windows only."
    if ":" in name:
        yield "MAR-N003", "The name holds a colon, which means a drive or a stream on Windows."
    if any(char in _DIRECTION or unicodedata.category(char) in _UNPRINTABLE for char in name):
        yield "MAR-N004", "The name holds a character that controls the terminal or hides text."
    if _WINDOWS.search(name):
        yield "MAR-N011", 'The name holds one of < > " | ? *, which Windows cannot write.'


def _lengths(name: str, parts: list[str]) -> Iterator[tuple[str, str]]:
    longest = max(_bytes(part) for part in parts)
    if longest > MAX_PART:
        yield "MAR-N007", f"A part of the name takes {longest:,} bytes; {MAX_PART} are allowed."
    elif _bytes(name) > MAX_PATH:
        yield "MAR-N007", f"The name takes {_bytes(name):,} bytes; {MAX_PATH:,} are allowed."
    elif len(parts) > MAX_DEPTH:
        yield "MAR-N007", f"The name has {len(parts):,} levels; {MAX_DEPTH} are allowed."


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def folded(name: str) -> str:
    """What file systems that ignore case or Unicode forms take the name for."""
    lower = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", lower))


def _collisions(files: list[str], folders: list[str]) -> Iterator[Finding]:
    """Names that some system takes for one another."""
    yield from _twins(files)
    yield from _twins(folders)
    taken = {folded(name): name for name in files}
    wanted = [(name, f"{folded(name)}/") for name in folders]
    wanted += [(name, folded(name)) for name in files]
    for name, key in wanted:
        parent = next((path for path in _parents(key) if path in taken), None)
        if parent is not None:
            message = f"The name needs a folder where there is the file {taken[parent]!r}."
            yield finding("MAR-N010", message, member=name)


def _twins(names: list[str]) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for name in names:
        key = folded(name)
        if key not in seen:
            seen[key] = name
        elif seen[key] == name:
            yield finding("MAR-N008", "The name comes twice.", member=name)
        else:
            message = f"Many systems take the name for {seen[key]!r}, which is there too."
            yield finding("MAR-N009", message, member=name)


def _parents(path: str) -> Iterator[str]:
    """``a`` and ``a/b`` for ``a/b/c``; no more than a good name has."""
    position = -1
    for _ in range(MAX_DEPTH):
        position = path.find("/", position + 1)
        if position == -1:
            return
        yield path[:position]
