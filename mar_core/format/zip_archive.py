"""A ``.mar``: a zip whose structure has been walked before anything of it is believed."""

from __future__ import annotations

import stat
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO

from mar_core.format.codes import finding
from mar_core.format.file import Expected, inflated, stored
from mar_core.format.view import Member, PackedArchive, check_members
from mar_core.format.zip_reader import ZipParser
from mar_core.format.zip_records import STORED, UTF8_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mar_core.findings import Finding
    from mar_core.format.file import ArchiveFile
    from mar_core.format.limits import Limits
    from mar_core.format.zip_reader import Placed
    from mar_core.format.zip_records import Entry

__all__ = ["ZipArchive"]


class ZipArchive(PackedArchive):
    """A zip archive, open for reading.

    Args:
        file: The open file; closed with the archive.
        limits: How much it may hold.

    Raises:
        ValidationError: It is not sound; all faults of names, kinds and sizes come together.
    """

    kind = "zip"

    def __init__(self, file: ArchiveFile, limits: Limits) -> None:
        self._placed = {placed.entry.name: placed for placed in self._admitted(file, limits)}
        files = {name: placed for name, placed in self._placed.items() if not name.endswith("/")}
        super().__init__(file, {name: _member(placed) for name, placed in files.items()})

    def _admitted(self, file: ArchiveFile, limits: Limits) -> list[Placed]:
        placed = ZipParser(file, limits).walk()
        entries = [one.entry for one in placed]
        self.findings = check_members(
            file,
            limits,
            files=[entry.name for entry in entries if not entry.name.endswith("/")],
            folders=[entry.name[:-1] for entry in entries if entry.name.endswith("/")],
            total=sum(entry.size for entry in entries),
            others=[found for entry in entries for found in _entry_faults(entry)],
        )
        return placed

    @property
    def placed(self) -> Mapping[str, Placed]:
        """Every entry by name, folders too, and where its data begins; in the file's order."""
        return MappingProxyType(self._placed)

    def _stream(self, member: Member, sha256: str | None) -> BinaryIO:
        placed = self._placed[member.name]
        entry, offset = placed.entry, placed.data_offset
        expected = Expected(member=member.name, size=member.size, crc=entry.crc, sha256=sha256)
        if member.stored:
            return stored(self.file, expected, self.file.read_at, offset=offset)
        return inflated(self.file, expected, offset=offset, compressed_size=entry.compressed_size)


def _member(placed: Placed) -> Member:
    entry = placed.entry
    stored = entry.method == STORED
    return Member(
        name=entry.name,
        size=entry.size,
        compressed_size=entry.compressed_size,
        stored=stored,
        offset=placed.data_offset if stored else None,
    )


def _entry_faults(entry: Entry) -> Iterator[Finding]:
    kind = stat.S_IFMT(entry.mode)
    folder = entry.name.endswith("/")
    if kind == stat.S_IFLNK:
        yield finding("MAR-A120", "The member is a symbolic link.", member=entry.name)
    elif kind not in {0, stat.S_IFDIR if folder else stat.S_IFREG}:
        message = "The member is neither a file nor a folder, or not the one its name says."
        yield finding("MAR-A121", message, member=entry.name)
    if folder and entry.size:
        message = f"The folder holds {entry.size:,} bytes of its own."
        yield finding("MAR-A122", message, member=entry.name)
    if not (entry.flags & UTF8_NAME or entry.name.isascii()):
        message = "The name is UTF-8 and not marked as such: Python's zipfile reads another one."
        yield finding("MAR-A119", message, member=entry.name)
