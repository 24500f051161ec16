"""What members are made of before they are written, and their order: bytes, files, kept members."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

from mar_core.errors import ArchiveError
from mar_core.format.manifest import MANIFEST_NAME
from mar_core.format.view import Archive, Member

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "LARGE",
    "Content",
    "Kept",
    "in_order",
    "member_of",
    "open_content",
    "same_content",
    "size_of",
    "unreadable",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A member that an archive hands on to the one that replaces it.

    Attributes:
        archive: The archive that is being replaced, open.
        member: Its member.
    """

    archive: Archive
    member: Member


Content: TypeAlias = bytes | Path | Kept


def size_of(content: Content) -> int:
    """How many bytes a member of that content has.

    Raises:
        ArchiveError: The file is not there.
    """
    if isinstance(content, bytes):
        return len(content)
    if isinstance(content, Kept):
        return content.member.size
    try:
        return content.stat().st_size
    except OSError as error:
        raise unreadable(content, error) from error


def open_content(content: Content) -> BinaryIO:
    """A stream over the bytes.

    Raises:
        ArchiveError: The file cannot be read.
    """
    if isinstance(content, bytes):
        return io.BytesIO(content)
    if isinstance(content, Kept):
        return content.archive.open(content.member.name)
    try:
        return cast("BinaryIO", content.open("rb", buffering=0))
    except OSError as error:
        raise unreadable(content, error) from error


def member_of(name: str, content: Content) -> Member:
    """The member as it looks before anything is written."""
    size = size_of(content)
    if isinstance(content, Kept):
        return Member(name=name, size=size, compressed_size=size, stored=content.member.stored)
    source = content if isinstance(content, Path) else None
    return Member(name=name, size=size, compressed_size=size, source=source)


def same_content(first: Content | None, second: Content) -> bool:
    """Whether both are one and the same, without comparing files byte by byte."""
    if isinstance(first, Path) and isinstance(second, Path):
        return first.samefile(second)
    return first == second


def unreadable(path: Path, error: OSError) -> ArchiveError:
    """The error for a source that cannot be read."""
    return ArchiveError(f"{path} cannot be read: {error.strerror}.")


LARGE = 1 << 20


def in_order(contents: Mapping[str, Content], serialized: str | None) -> dict[str, Content]:
    """The members in the order of the archive: what seldom changes first, the manifest last.

    The weights, then everything of a mebibyte or more, then the small files: when one of those
    changes, all that stands before stays where it is.

    Args:
        contents: What each member is made of.
        serialized: The member that holds the weights, or None.
    """

    def place(name: str) -> tuple[int, str]:
        if name == MANIFEST_NAME:
            return 3, name
        if name == serialized:
            return 0, name
        return (1 if size_of(contents[name]) >= LARGE else 2), name

    return {name: contents[name] for name in sorted(contents, key=place)}
