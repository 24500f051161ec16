"""An archive that is not packed: what its members will be made of, and in what order."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast

from mar_core.errors import ArchiveError
from mar_core.format.manifest import MANIFEST_NAME, Manifest
from mar_core.format.view import Archive, Member

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mar_core.findings import Finding

__all__ = [
    "LARGE", "Content", "Kept", "Sources", "in_order", "member_of", "open_content",
    "same_content", "size_of", "unreadable",
]  # fmt: skip


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


class Sources(Archive):
    """What a request comes to before anything is written; it can be read, checked and run.

    Args:
        manifest: The manifest, without digests until the archive is written.
        contents: What each member but the manifest is made of, in the order of the archive.
        findings: What putting it together found.
    """

    path = None
    kind = "sources"

    def __init__(
        self,
        manifest: Manifest,
        contents: Mapping[str, Content],
        *,
        findings: Iterable[Finding] = (),
    ) -> None:
        self.manifest = manifest
        self.findings = tuple(findings)
        self.contents: Mapping[str, Content] = MappingProxyType(
            {**contents, MANIFEST_NAME: manifest.to_bytes()}
        )
        self.members = MappingProxyType(
            {name: member_of(name, content) for name, content in self.contents.items()}
        )

    def keeping(self, key: str, value: Any) -> Sources:
        """The same sources with one more of mar's own keys in the manifest."""
        data = {**self.manifest.data, "mar": {**self.manifest.mar, key: value}}
        contents = {name: self.contents[name] for name in self.contents if name != MANIFEST_NAME}
        return Sources(Manifest(data), contents, findings=self.findings)

    def open(self, name: str) -> BinaryIO:
        """A stream over what one member is made of.

        Raises:
            ArchiveError: There is no such member, or it cannot be read.
        """
        if name not in self.contents:
            raise ArchiveError(f"{self} have no member {name!r}.")
        return open_content(self.contents[name])

    def __str__(self) -> str:
        return f"the sources of {self.manifest.model_name}"
