"""A ``.tar.gz``: all members in one folder, whose name is left out as TorchServe does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, BinaryIO

from mar_core.format.codes import finding, refusal
from mar_core.format.names import check_name
from mar_core.format.streams import Expected, stored
from mar_core.format.tar_reader import TarEntry, inflated_copy, walk_tar
from mar_core.format.view import Member, PackedArchive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mar_core.findings import Finding
    from mar_core.format.file import ArchiveFile
    from mar_core.format.limits import Limits

__all__ = ["TarArchive"]


class TarArchive(PackedArchive):
    """A gzip-compressed tar, open for reading.

    Opening inflates it to the end, since only there gzip says whether it was whole, into a copy
    that members are read from: in memory while it is small, in a file without a name else.

    Args:
        file: The open file; closed with the archive.
        limits: How much it may hold.

    Raises:
        ValidationError: It is not sound; all faults of names and kinds come together.
        ArchiveError: There is no room for the copy.
    """

    kind = "tgz"

    def __init__(self, file: ArchiveFile, limits: Limits) -> None:
        self._lock = threading.Lock()
        self._tar = inflated_copy(file, limits)
        try:
            entries = self._admitted(file, limits)
        except BaseException:
            self._tar.close()
            raise
        self._offsets = {_inner(entry.name): entry.offset for entry in entries}
        files = [entry for entry in entries if not entry.folder]
        super().__init__(file, {_inner(entry.name): _member(entry) for entry in files})

    def _admitted(self, file: ArchiveFile, limits: Limits) -> list[TarEntry]:
        entries = list(walk_tar(file, self._tar, limits))
        _check_folder(file, entries)
        self._judge(
            file,
            limits,
            files=[_inner(entry.name) for entry in entries if not entry.folder],
            folders=[_inner(entry.name) for entry in entries if entry.folder and "/" in entry.name],
            total=sum(entry.size for entry in entries),
            others=[entry.fault for entry in entries if entry.fault],
        )
        return entries

    def _stream(self, member: Member, sha256: str | None) -> BinaryIO:
        expected = Expected(member=member.name, size=member.size, sha256=sha256)
        return stored(self._file, expected, self._read_at, offset=self._offsets[member.name])

    def _read_at(self, offset: int, length: int) -> bytes:
        with self._lock:  # streams over several members may be read in turns
            self._tar.seek(offset)
            return self._tar.read(length)

    def close(self) -> None:
        """Let go of the file and of its copy."""
        super().close()
        self._tar.close()


def _inner(name: str) -> str:
    return name.partition("/")[2]


def _check_folder(file: ArchiveFile, entries: list[TarEntry]) -> None:
    """The one folder that all members lie in; TorchServe drops the first part of every name."""
    prefixes = {entry.name.partition("/")[0] for entry in entries}
    loose = [entry for entry in entries if "/" not in entry.name and not entry.folder]
    if not any(not entry.folder for entry in entries):
        raise file.refuse("MAR-A008", "The archive is empty.")
    faults = [fault for prefix in sorted(prefixes) for fault in _prefix_faults(prefix)]
    if len(prefixes) > 1 or loose:
        message = "The members do not all lie in one folder that is named after the model."
        faults.insert(0, finding("MAR-A206", message))
    if faults:
        raise refusal(file.path, *faults)


def _prefix_faults(prefix: str) -> Iterable[Finding]:
    if prefix == "":
        return [finding("MAR-N001", "A name is an absolute path.")]
    return [] if prefix == "." else check_name(prefix)


def _member(entry: TarEntry) -> Member:
    return Member(
        name=_inner(entry.name), size=entry.size, compressed_size=entry.size, stored=False
    )
