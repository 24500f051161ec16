"""Opening an archive, whatever its form: the one way in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.format.folder import FolderArchive
from mar_core.format.limits import DEFAULT_LIMITS, Limits
from mar_core.format.reader_file import ArchiveFile
from mar_core.format.reader_kinds import check_ending, kind_of
from mar_core.format.tar_archive import TarArchive
from mar_core.format.zip_archive import ZipArchive

if TYPE_CHECKING:
    from mar_core.format.view import Archive

__all__ = ["open_archive"]


def open_archive(path: str | os.PathLike[str], *, limits: Limits = DEFAULT_LIMITS) -> Archive:
    """Open a ``.mar``, a ``.tar.gz`` or a folder for reading.

    Its whole structure is checked first. Nothing of it is run, imported or unpickled, and nothing
    is written. Contents are checked while they are read.

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
        return FolderArchive(path, limits)
    file = ArchiveFile(path)
    try:
        kind = kind_of(file)
        check_ending(file, kind)
        return ZipArchive(file, limits) if kind == "zip" else TarArchive(file, limits)
    except BaseException:
        file.close()
        raise
