"""A ``.tar.gz``: all members in one folder, whose name is left out as TorchServe does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, BinaryIO

from mar_core.format.codes import finding, refusal
from mar_core.format.names import check_name
from mar_core.format.packed import PackedArchive
from mar_core.format.reader_streams import plain, sequential
from mar_core.format.tar_gzip import GzipReader
from mar_core.format.tar_walk import TarEntry, walk_tar
from mar_core.format.view import Member

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mar_core.findings import Finding
    from mar_core.format.limits import Limits
    from mar_core.format.reader_file import ArchiveFile

__all__ = ["TarArchive"]

_SMALL, _SMALL_TOGETHER = 1 << 20, 32 << 20


class TarArchive(PackedArchive):
    """A gzip-compressed tar, open for reading.

    Opening reads it to the end, since only there gzip says whether it was whole. Small members stay
    in memory. The others are unpacked again when they are opened: all of them in one more pass when
    that is done in the order of the archive.

    Args:
        file: The open file; closed with the archive.
        limits: How much it may hold.

    Raises:
        ValidationError: It is not sound; all faults of names and kinds come together.
    """

    kind = "tgz"

    def __init__(self, file: ArchiveFile, limits: Limits) -> None:
        self._limits = limits
        self._small: dict[str, bytes] = {}
        self._cursor: GzipReader | None = None
        self._lock = threading.Lock()
        entries = list(self._walk(file, limits))
        _check_folder(file, entries)
        self._judge(
            file,
            limits,
            files=[_inner(entry.name) for entry in entries if not entry.folder],
            folders=[_inner(entry.name) for entry in entries if entry.folder and "/" in entry.name],
            total=sum(entry.size for entry in entries),
            others=[entry.fault for entry in entries if entry.fault],
        )
        self._offsets = {_inner(entry.name): entry.offset for entry in entries}
        files = [entry for entry in entries if not entry.folder]
        super().__init__(file, {_inner(entry.name): _member(entry) for entry in files})

    def open(self, name: str) -> BinaryIO:
        """See ``Archive.open``; a large member is unpacked once more."""
        expected = self._expected(self._known(name).name)
        small = self._small.get(name)
        if small is not None:
            return plain(self._file, expected, lambda start, length: small[start : start + length])
        reader = self._reader_at(self._offsets[name])
        return sequential(self._file, expected, reader.read, done=lambda: self._keep(reader))

    def _reader_at(self, offset: int) -> GzipReader:
        """The reader that an earlier stream left, where it has not gone too far, or a fresh one."""
        with self._lock:
            reader, self._cursor = self._cursor, None
        if reader is None or reader.position > offset:
            reader = GzipReader(self._file, self._limits)
        reader.skip(offset - reader.position)
        return reader

    def _keep(self, reader: GzipReader) -> None:
        with self._lock:
            self._cursor = reader

    def _walk(self, file: ArchiveFile, limits: Limits) -> Iterator[TarEntry]:
        reader = GzipReader(file, limits)
        room = _SMALL_TOGETHER
        for entry in walk_tar(file, reader, limits):
            if not entry.folder and entry.size <= min(_SMALL, room):
                self._small[_inner(entry.name)] = reader.read(entry.size)
                room -= entry.size
            yield entry


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
