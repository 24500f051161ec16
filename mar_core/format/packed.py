"""What zip and tar archives have in common: one file, checked members, digests."""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING

from mar_core.errors import ArchiveError
from mar_core.findings import Finding, ValidationError, has_errors
from mar_core.format.codes import finding, refusal
from mar_core.format.file import CHUNK
from mar_core.format.manifest import MANIFEST_NAME
from mar_core.format.names import check_names
from mar_core.format.streams import Expected
from mar_core.format.view import Archive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mar_core.format.file import ArchiveFile
    from mar_core.format.limits import Limits
    from mar_core.format.view import Member

__all__ = ["PackedArchive", "listed_digests", "member_digest"]


class PackedArchive(Archive):
    """An archive that is one file.

    Args:
        file: The open file; closed with the archive.
        members: The checked members.
    """

    _digests: Mapping[str, str] | None = None

    def __init__(self, file: ArchiveFile, members: Mapping[str, Member]) -> None:
        self._file = file
        self.path = file.path
        self.members = MappingProxyType(dict(members))

    @property
    def stored_size(self) -> int:
        """See ``Archive.stored_size``."""
        return self._file.size

    @property
    def file(self) -> ArchiveFile:
        """The open file, for copying from it inside the kernel."""
        return self._file

    def verify(self) -> list[Finding]:
        """See ``Archive.verify``."""
        damage = (found for name in self.members for found in self._damage(name))
        return [*self._unlisted(), *damage]

    def close(self) -> None:
        """Let go of the file; streams over members end with it."""
        self._file.close()

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

    def _expected(self, name: str, *, crc: int | None = None) -> Expected:
        size = self.members[name].size
        return Expected(member=name, size=size, crc=crc, sha256=self.sha256_of(name))

    def _judge(
        self,
        file: ArchiveFile,
        limits: Limits,
        *,
        files: list[str],
        folders: list[str],
        total: int,
        others: Iterable[Finding] = (),
    ) -> None:
        """Refuse on any fault of names, kinds or limits; keep the warnings."""
        large = limits.too_large(total, file.size)
        findings = [*check_names(files, folders), *others, *([large] if large else [])]
        if has_errors(findings):
            raise refusal(file.path, *findings)
        self.findings = tuple(findings)


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
