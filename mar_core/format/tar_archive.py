"""A ``.tar.gz``: all members in one folder, whose name is left out as TorchServe does.

What is no model archive is unpacked under the rules for one. Other tools make theirs with
``tar czf model.tar.gz .``: members lie at the root and are called ``./code/inference.py``. That is
taken; whatever else a model archive may not hold is refused.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, BinaryIO

from mar_core.errors import ArchiveError
from mar_core.format.codes import finding, refusal
from mar_core.format.file import CHUNK, ArchiveFile, Expected, stored
from mar_core.format.limits import DEFAULT_LIMITS, Limits
from mar_core.format.names import check_name
from mar_core.format.tar_reader import TarEntry, inflated_copy, walk_tar
from mar_core.format.view import Member, PackedArchive, check_members

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mar_core.findings import Finding

__all__ = ["TarArchive", "is_gzip", "unpack_tar"]


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
        self._offsets = {_below_folder(entry.name): entry.offset for entry in entries}
        files = [entry for entry in entries if not entry.folder]
        super().__init__(file, {_below_folder(entry.name): _member(entry) for entry in files})

    def _admitted(self, file: ArchiveFile, limits: Limits) -> list[TarEntry]:
        entries = list(walk_tar(file, self._tar, limits))
        _check_folder(file, entries)
        self.findings = check_members(
            file,
            limits,
            files=[_below_folder(entry.name) for entry in entries if not entry.folder],
            folders=[
                _below_folder(entry.name) for entry in entries if entry.folder and "/" in entry.name
            ],
            total=sum(entry.size for entry in entries),
            others=[entry.fault for entry in entries if entry.fault],
        )
        return entries

    def _stream(self, member: Member, sha256: str | None) -> BinaryIO:
        expected = Expected(member=member.name, size=member.size, sha256=sha256)
        return stored(self.file, expected, self._read_at, offset=self._offsets[member.name])

    def _read_at(self, offset: int, length: int) -> bytes:
        with self._lock:  # streams over several members may be read in turns
            self._tar.seek(offset)
            return self._tar.read(length)

    def close(self) -> None:
        """Let go of the file and of its copy."""
        super().close()
        self._tar.close()


def _below_folder(name: str) -> str:
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
        name=_below_folder(entry.name), size=entry.size, compressed_size=entry.size, stored=False
    )


def is_gzip(path: Path) -> bool:
    """Whether a file begins as gzip does.

    Raises:
        ArchiveError: It cannot be read.
    """
    file = ArchiveFile(path)
    try:
        return file.read_at(0, 2) == b"\x1f\x8b"
    finally:
        file.close()


def unpack_tar(path: Path, folder: Path) -> None:
    """Unpack a ``.tar.gz`` into an empty folder.

    Names cannot lead out of it, no link and no device comes to be, and modes and owners are not
    the tar's.

    Args:
        path: The file.
        folder: The folder, which exists.

    Raises:
        ArchiveError: It cannot be read, or there is no room for it.
        ValidationError: It is not sound, or holds more than is allowed.
    """
    file = ArchiveFile(path)
    try:
        with inflated_copy(file, DEFAULT_LIMITS) as tar:
            for name, entry in _files(file, tar).items():
                _write(tar, entry, folder / name)
    except OSError as error:
        raise ArchiveError(
            f"{path} cannot be unpacked to {folder.parent}: {error.strerror}.",
            hint="Name a folder that has room with TMPDIR.",
        ) from error
    finally:
        file.close()


def _files(file: ArchiveFile, tar: BinaryIO) -> dict[str, TarEntry]:
    """The files by name."""
    entries = [(_below_root(entry.name), entry) for entry in walk_tar(file, tar, DEFAULT_LIMITS)]
    entries = [(name, entry) for name, entry in entries if name and not _is_apple_double(name)]
    files = [name for name, entry in entries if not entry.folder]
    if not files:
        raise file.refuse("MAR-A008", "The archive is empty.")
    folders = [name for name, entry in entries if entry.folder]
    check_members(
        file,
        DEFAULT_LIMITS,
        files=files,
        folders=folders,
        total=sum(entry.size for _, entry in entries),
        others=[entry.fault for _, entry in entries if entry.fault],
    )
    return {name: entry for name, entry in entries if not entry.folder}


def _below_root(name: str) -> str:
    return "" if name == "." else name.removeprefix("./")


def _is_apple_double(name: str) -> bool:
    """What macOS' tar adds beside each file that has extended attributes."""
    return name.rpartition("/")[2].startswith("._")


def _write(tar: BinaryIO, entry: TarEntry, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tar.seek(entry.offset)
    left = entry.size
    with path.open("xb") as stream:
        while left:
            data = tar.read(min(left, CHUNK))
            stream.write(data)
            left -= len(data)
