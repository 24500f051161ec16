"""Unpacking an archive for people to look at, as ``mar unpack`` does."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.format import open_archive
from mar_core.format.atomic import check_place, new_folder
from mar_core.format.file import CHUNK

if TYPE_CHECKING:
    from mar_core.findings import Finding

__all__ = ["Unpacked", "unpack_archive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """A folder that an archive was unpacked to.

    Attributes:
        path: The folder.
        members: How many files it holds.
        size: Their bytes.
        findings: Warnings about the archive.
    """

    path: Path
    members: int
    size: int
    findings: tuple[Finding, ...] = ()


def unpack_archive(path: Path, folder: Path | None = None, *, force: bool = False) -> Unpacked:
    """Unpack an archive that is sound into a folder that was not there, whole or not at all.

    Nothing of it is run. Its names cannot lead out of the folder, no link and no device comes to
    be, and modes and owners are not the archive's.

    Args:
        path: The archive.
        folder: Where to; by default the model's name, in the current folder.
        force: Replace an unpacked archive that is there.

    Raises:
        ArchiveError: The archive cannot be read, a rule refuses it, or the place is taken.
    """
    from mar_core.checks.validation import check
    from mar_core.plugins import get_plugins

    with open_archive(path) as archive:
        target = folder or Path(archive.manifest.model_name or path.stem)
        check_place(target, force=force, folder=True)
        # What loading would do is no matter here: nothing is loaded.
        findings = check(archive, plugins=get_plugins(), allow_pickle=True)
        size = sum(member.size for member in archive.members.values())
        target.parent.mkdir(parents=True, exist_ok=True)
        with new_folder(target, force=force, needed=size) as partial:
            for name in archive.members:
                file = partial / name
                file.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source, file.open("xb") as stream:
                    shutil.copyfileobj(source, stream, CHUNK)
        return Unpacked(
            path=target, members=len(archive.members), size=size, findings=tuple(findings)
        )
