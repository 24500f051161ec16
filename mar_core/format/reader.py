"""Opening an archive, whatever its form: the one way in, and what a file is by its first bytes."""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.format.file import ArchiveFile
from mar_core.format.journal import take_up
from mar_core.format.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from mar_core.format.view import Archive, PackedArchive

__all__ = ["check_ending", "kind_of", "open_archive", "open_file"]


_HEAD = 1024
_TAR_MAGIC = slice(257, 262)
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08", b"PK\x01\x02")
_STARTS: tuple[tuple[bytes, str], ...] = (
    (
        b"version https://git-lfs.github.com/spec/",
        "a git LFS pointer; fetch the file: git lfs pull",
    ),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"BZh", "a bzip2 file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"\x04\x22\x4d\x18", "an lz4 file"),
    (b"\x7fELF", "a program or a shared library"),
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
)
_PATTERNS: tuple[tuple[bytes, str], ...] = (
    (rb"\s*<(?:!doctype\s+html|html)", "an HTML page; a download has probably gone wrong"),
    (rb"\s*<\?xml", "an XML document; a download has probably gone wrong"),
    (rb"\x80[\x02-\x05]", "a pickle, such as a bare weights file"),
    (rb".{8}\{\s*\"", "a safetensors file, which is weights only"),
    (rb"\s*[{\[]", "JSON or other text"),
)
_ENDINGS = {"zip": (".tar.gz", ".tgz"), "tgz": (".mar", ".zip")}
_CALLED = {"zip": "a zip", "tgz": "a gzip file, such as a .tar.gz"}


def open_archive(path: str | os.PathLike[str], *, limits: Limits = DEFAULT_LIMITS) -> Archive:
    """Open a ``.mar``, a ``.tar.gz`` or a folder for reading.

    Its whole structure is checked first. Nothing of it is run, imported or unpickled. Contents are
    checked while they are read. Nothing is written, but for an update in place that was cut off: it
    is finished first.

    Args:
        path: The archive.
        limits: How much it may hold.

    Returns:
        The archive; use it as a context manager.

    Raises:
        ArchiveError: It is not there or cannot be read.
        ValidationError: It is no archive, or not a sound one; its findings say why.

    Example:
        >>> with open_archive("mnist.mar") as archive:
        ...     print(archive.manifest.model_name, list(archive.members))
    """
    path = Path(path)
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a folder may not be searched
        from mar_core.format.folder import FolderArchive

        return FolderArchive(path, limits)
    take_up(path)
    return open_file(ArchiveFile(path), limits)


def open_file(file: ArchiveFile, limits: Limits = DEFAULT_LIMITS) -> PackedArchive:
    """The same of a file that is open; it is closed with the archive, and where that is refused.

    Raises:
        ValidationError: It is no archive, or not a sound one; its findings say why.
    """
    try:
        kind = kind_of(file)
        check_ending(file, kind)
        if kind == "zip":
            from mar_core.format.zip_archive import ZipArchive

            return ZipArchive(file, limits)
        from mar_core.format.tar_archive import TarArchive

        return TarArchive(file, limits)
    except BaseException:
        file.close()
        raise


def kind_of(file: ArchiveFile) -> str:
    """``zip`` or ``tgz``.

    Raises:
        ValidationError: It is neither; the finding says what it is instead.
    """
    head = file.read_at(0, _HEAD)
    if not head:
        raise file.refuse("MAR-A002", "The file is empty.")
    if head.startswith(_ZIP_STARTS):
        return "zip"
    if head.startswith(b"\x1f\x8b"):
        return "tgz"
    if _ends_like_a_zip(file):
        raise file.refuse("MAR-A006", "Other bytes stand before the zip archive.")
    raise file.refuse("MAR-A001", f"It is {_called(head)}, not a model archive.")


def check_ending(file: ArchiveFile, kind: str) -> None:
    """Refuse a ``.mar`` that is a tar.gz and the reverse: TorchServe goes by the ending.

    Raises:
        ValidationError: The ending and the content contradict each other.
    """
    name = file.path.name.lower()
    ending = next((ending for ending in _ENDINGS[kind] if name.endswith(ending)), None)
    if ending is not None:
        raise file.refuse("MAR-A003", f"The name ends with {ending}, but it is {_CALLED[kind]}.")


def _called(head: bytes) -> str:
    for start, what in _STARTS:
        if head.startswith(start):
            return what
    for pattern, what in _PATTERNS:
        if re.match(pattern, head, re.IGNORECASE | re.DOTALL):
            return what
    if head[_TAR_MAGIC] == b"ustar":
        return "a tar that is not compressed"
    if not head.strip(b"\0"):
        return "filled with zeros; a download or a copy was probably cut short"
    return "a text file" if _is_text(head) else "some other binary file"


def _is_text(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return b"\0" not in head


def _ends_like_a_zip(file: ArchiveFile) -> bool:
    tail = file.read_at(max(0, file.size - 22), 22)
    return tail.startswith(b"PK\x05\x06")
