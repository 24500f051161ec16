"""A ``.tar.gz`` that is no model archive, unpacked under the rules for one.

Other tools make theirs with ``tar czf model.tar.gz .``: members lie at the root and are called
``./code/inference.py``. That is taken; whatever else a model archive may not hold is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from mar_core.errors import ArchiveError
from mar_core.findings import has_errors
from mar_core.format.codes import refusal
from mar_core.format.file import CHUNK, ArchiveFile
from mar_core.format.limits import DEFAULT_LIMITS, Limits
from mar_core.format.names import check_names
from mar_core.format.tar_reader import TarEntry, inflated_copy, walk_tar

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_gzip", "unpack_tar"]

_APPLE_DOUBLE = "._"  # what macOS' tar adds beside each file that has extended attributes


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


def unpack_tar(path: Path, folder: Path, *, limits: Limits = DEFAULT_LIMITS) -> None:
    """Unpack a ``.tar.gz`` into an empty folder.

    Names cannot lead out of it, no link and no device comes to be, and modes and owners are not
    the tar's.

    Args:
        path: The file.
        folder: The folder, which exists.
        limits: How much it may hold.

    Raises:
        ArchiveError: It cannot be read, or there is no room for it.
        ValidationError: It is not sound, or holds more than is allowed.
    """
    file = ArchiveFile(path)
    try:
        with inflated_copy(file, limits) as tar:
            for name, entry in _admitted(file, tar, limits).items():
                _write(tar, entry, folder / name)
    except OSError as error:
        raise ArchiveError(
            f"{path} cannot be unpacked to {folder.parent}: {error.strerror}.",
            hint="Name a folder that has room with TMPDIR.",
        ) from error
    finally:
        file.close()


def _admitted(file: ArchiveFile, tar: BinaryIO, limits: Limits) -> dict[str, TarEntry]:
    """The files by name."""
    entries = [(_inner(entry.name), entry) for entry in walk_tar(file, tar, limits)]
    entries = [(name, entry) for name, entry in entries if name and not _is_apples(name)]
    files = [name for name, entry in entries if not entry.folder]
    if not files:
        raise file.refuse("MAR-A008", "The archive is empty.")
    folders = [name for name, entry in entries if entry.folder]
    large = limits.too_large(sum(entry.size for _, entry in entries), file.size)
    findings = [
        *check_names(files, folders),
        *(entry.fault for _, entry in entries if entry.fault),
        *([large] if large else []),
    ]
    if has_errors(findings):
        raise refusal(file.path, *findings)
    return {name: entry for name, entry in entries if not entry.folder}


def _inner(name: str) -> str:
    return "" if name == "." else name.removeprefix("./")


def _is_apples(name: str) -> bool:
    return name.rpartition("/")[2].startswith(_APPLE_DOUBLE)


def _write(tar: BinaryIO, entry: TarEntry, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tar.seek(entry.offset)
    left = entry.size
    with path.open("xb") as stream:
        while left:
            data = tar.read(min(left, CHUNK))
            stream.write(data)
            left -= len(data)
