"""What zip and tar archives have in common: one file, checked members, digests."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from mar_core.archives.codes import refusal
from mar_core.archives.names import check_names
from mar_core.archives.reader_streams import Expected
from mar_core.archives.view import Archive
from mar_core.errors import ArchiveError
from mar_core.findings import Finding, Severity
from mar_core.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mar_core.archives.limits import Limits
    from mar_core.archives.reader_file import ArchiveFile
    from mar_core.archives.view import Member

__all__ = ["PackedArchive"]


class PackedArchive(Archive):
    """An archive that is one file.

    Args:
        file: The open file; closed with the archive.
        members: The checked members.
    """

    def __init__(self, file: ArchiveFile, members: Mapping[str, Member]) -> None:
        self._file = file
        self.path = file.path
        self.members = MappingProxyType(dict(members))

    @property
    def file(self) -> ArchiveFile:
        """The open file, for copying from it inside the kernel."""
        return self._file

    def close(self) -> None:
        """Let go of the file; streams over members end with it."""
        self._file.close()

    def sha256_of(self, name: str) -> str | None:
        """The SHA-256 that the manifest gives for a member, in hex, or None."""
        if name == MANIFEST_NAME:
            return None
        try:
            listed = self.manifest.mar.get("members")
        except ArchiveError:
            return None  # a rule reports the manifest; members can be read all the same
        entry = listed.get(name) if isinstance(listed, dict) else None
        digest = entry.get("sha256") if isinstance(entry, dict) else None
        return digest.lower() if isinstance(digest, str) else None

    def _expected(self, name: str, *, crc: int | None = None) -> Expected:
        size = self.members[name].size
        return Expected(member=name, size=size, crc=crc, sha256=self.sha256_of(name))

    def _known(self, name: str) -> Member:
        if name not in self.members:
            raise ArchiveError(f"{self} has no member {name!r}.")
        return self.members[name]

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
        if any(found.severity is Severity.ERROR for found in findings):
            raise refusal(file.path, *findings)
        self.findings = tuple(findings)
