"""What every archive looks like, however it is stored: a manifest and members to read."""

from __future__ import annotations

import abc
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from mar_core.errors import ArchiveError, ManifestError
from mar_core.format.manifest import MANIFEST_NAME, Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Self

    from mar_core.findings import Finding

__all__ = ["Archive", "ArchiveFormat", "ExtraFile", "Member"]

READ_LIMIT = 64 << 20


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
    _manifest: Manifest | None = None

    @property
    def stored_size(self) -> int:
        """The bytes that the archive takes where it lies."""
        return sum(member.compressed_size for member in self.members.values())

    @property
    def manifest(self) -> Manifest:
        """The parsed manifest.

        Raises:
            ManifestError: It is missing, or not what it must be.
        """
        if self._manifest is None:
            if MANIFEST_NAME not in self.members:
                raise ManifestError(
                    f"{self} has no {MANIFEST_NAME}.",
                    hint="Make a fresh archive with `mar archive`.",
                )
            self._manifest = Manifest.from_bytes(self.read(MANIFEST_NAME))
        return self._manifest

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
        with self.open(name) as stream:
            return stream.read()

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
