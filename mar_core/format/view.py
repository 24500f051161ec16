"""What every archive looks like, however it is stored: a manifest and members to read."""

from __future__ import annotations

import abc
import enum
import functools
import hashlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO

from mar_core.errors import ArchiveError, ManifestError
from mar_core.findings import ValidationError, has_errors
from mar_core.format.codes import finding, refusal
from mar_core.format.file import CHUNK
from mar_core.format.manifest import MANIFEST_NAME, Manifest
from mar_core.format.names import check_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import Self

    from mar_core.findings import Finding
    from mar_core.format.file import ArchiveFile
    from mar_core.format.limits import Limits

__all__ = [
    "Archive", "ArchiveFormat", "ExtraFile", "Member", "PackedArchive", "check_members",
    "listed_digests", "member_digest",
]  # fmt: skip

READ_LIMIT = 64 << 20
# Rules, signatures and loaders look at the same few files: what is small is read and checked once.
KEPT_BYTES, KEPT_TOGETHER = 256 << 10, 4 << 20


class ArchiveFormat(enum.StrEnum):
    """How an archive is stored, by torch-model-archiver's names."""

    DEFAULT = "default"
    ZIP_STORE = "zip-store"
    TGZ = "tgz"
    NO_ARCHIVE = "no-archive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of an archive.

    Attributes:
        name: Its path in the archive, ``/`` between parts.
        size: Its length in bytes, unpacked.
        compressed_size: The bytes that it takes in the archive.
        stored: Whether it lies in the archive as it is, not deflated.
        offset: Where its bytes begin in the archive file, or None where that means nothing.
        source: The file on this machine that holds it, for folders and sources; else None.
    """

    name: str
    size: int
    compressed_size: int
    stored: bool = True
    offset: int | None = None
    source: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraFile:
    """A file that a plugin adds to an archive being built.

    Attributes:
        name: Its path in the archive, ``/`` between parts.
        content: Its bytes, or the path of the file that holds them.
    """

    name: str
    content: bytes | Path


class Archive(abc.ABC):
    """A model archive open for reading: a ``.mar``, a ``.tar.gz``, a folder, or unpacked sources.

    Reading never runs, imports or unpickles anything of it. Use it as a context manager.

    Attributes:
        path: The file or folder, or None for sources that are not packed.
        kind: ``zip``, ``tgz``, ``folder`` or ``sources``.
        members: Every member by name, the manifest included, in the order of the archive.
        findings: What opening it found, before any rule ran.
    """

    path: Path | None
    kind: str
    members: Mapping[str, Member]
    findings: tuple[Finding, ...] = ()
    _room = KEPT_TOGETHER

    @property
    def stored_size(self) -> int:
        """The bytes that the archive takes where it lies."""
        return sum(member.compressed_size for member in self.members.values())

    @functools.cached_property
    def manifest(self) -> Manifest:
        """The parsed manifest.

        Raises:
            ManifestError: It is missing, or not what it must be.
        """
        if MANIFEST_NAME not in self.members:
            raise ManifestError(
                f"{self} has no {MANIFEST_NAME}.",
                hint="Make a fresh archive with `mar archive`.",
            )
        return Manifest.from_bytes(self.read(MANIFEST_NAME))

    def read(self, name: str, *, limit: int = READ_LIMIT) -> bytes:
        """The bytes of one member.

        Args:
            name: The member's name.
            limit: Refuse to read more bytes than this.

        Raises:
            ArchiveError: There is no such member, it is longer than ``limit``, or it is damaged.
        """
        member = self._known(name)
        if member.size > limit:
            raise ArchiveError(
                f"{self}: {name!r} is {member.size:,} bytes; the limit is {limit:,}."
            )
        content = self._kept.get(name)
        if content is None:
            with self.open(name) as stream:
                content = stream.read()
            if len(content) <= min(KEPT_BYTES, self._room):
                self._kept[name] = content
                self._room -= len(content)
        return content

    @functools.cached_property
    def _kept(self) -> dict[str, bytes]:
        return {}

    @abc.abstractmethod
    def open(self, name: str) -> BinaryIO:
        """A stream over one member that ends at its declared size and checks it on the way.

        The stream is seekable where ``Member.stored`` is true.

        Raises:
            ArchiveError: There is no such member, or, while reading, it is damaged.
        """

    def verify(self) -> list[Finding]:
        """Read every member to its end and compare it with every checksum that there is.

        Returns:
            What is damaged; nothing for sources, which have nothing to compare with.
        """
        return []

    def close(self) -> None:  # noqa: B027 - folders and sources hold nothing open
        """Let go of the file."""

    def _known(self, name: str) -> Member:
        if name not in self.members:
            raise ArchiveError(f"{self} has no member {name!r}.")
        return self.members[name]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __str__(self) -> str:
        return str(self.path) if self.path is not None else "the sources"

    @property
    def origin(self) -> str:
        """Where it lies, whatever the current folder is."""
        return str(self if self.path is None else self.path.absolute())


class PackedArchive(Archive):
    """An archive that is one file.

    Args:
        file: The open file; closed with the archive.
        members: The checked members.

    Attributes:
        file: The open file, for copying from it inside the kernel.
    """

    _digests: Mapping[str, str] | None = None

    def __init__(self, file: ArchiveFile, members: Mapping[str, Member]) -> None:
        self.file = file
        self.path = file.path
        self.members = MappingProxyType(dict(members))

    @property
    def stored_size(self) -> int:
        """See ``Archive.stored_size``."""
        return self.file.size

    def open(self, name: str) -> BinaryIO:
        """See ``Archive.open``."""
        return self._stream(self._known(name), self.sha256_of(name))

    def verify(self) -> list[Finding]:
        """See ``Archive.verify``."""
        damage = (found for name in self.members for found in self._damage(name))
        return [*self._unlisted(), *damage]

    def close(self) -> None:
        """Let go of the file; streams over members end with it."""
        self.file.close()

    def sha256_of(self, name: str) -> str | None:
        """The SHA-256 that the manifest gives for a member, in hex, or None."""
        if name == MANIFEST_NAME:
            return None
        if self._digests is None:
            self._digests = listed_digests(self)
        return self._digests.get(name)

    def _damage(self, name: str) -> tuple[Finding, ...]:
        try:
            with self.open(name) as stream:
                while stream.read(CHUNK):
                    pass
        except ValidationError as error:
            return error.findings
        return ()

    def _unlisted(self) -> Iterator[Finding]:
        listed = listed_digests(self).keys()
        there = self.members.keys() - {MANIFEST_NAME}
        if listed:
            for name in sorted(listed - there):
                yield finding("MAR-A134", "The manifest lists it, but it is missing.", member=name)
            for name in sorted(there - listed):
                yield finding("MAR-A134", "It is not in the manifest's list.", member=name)

    @abc.abstractmethod
    def _stream(self, member: Member, sha256: str | None) -> BinaryIO:
        """A stream over one member that compares it with its checksums, this one too."""


def check_members(
    file: ArchiveFile,
    limits: Limits,
    *,
    files: list[str],
    folders: list[str],
    total: int,
    others: Iterable[Finding] = (),
) -> tuple[Finding, ...]:
    """The warnings about names, kinds and limits.

    Raises:
        ValidationError: There are errors among them.
    """
    large = limits.too_large(total, file.size)
    findings = [*check_names(files, folders), *others, *([large] if large else [])]
    if findings and has_errors(findings):
        raise refusal(file.path, *findings)
    return tuple(findings)


def listed_digests(archive: Archive) -> Mapping[str, str]:
    """The SHA-256, in hex, that the manifest gives for each member; empty where it gives none."""
    try:
        listed = archive.manifest.mar.get("members")
    except ArchiveError:
        return {}  # a rule reports the manifest; members can be read all the same
    entries = listed.items() if isinstance(listed, dict) else ()
    digests = {name: entry.get("sha256") for name, entry in entries if isinstance(entry, dict)}
    return {name: text.lower() for name, text in digests.items() if isinstance(text, str)}


def member_digest(archive: Archive, name: str) -> str:
    """The SHA-256 of a member as it is, in hex.

    Raises:
        ArchiveError: There is no such member, or it cannot be read.
    """
    digest = hashlib.sha256()
    with archive.open(name) as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
