"""A folder that holds an unpacked archive, as ``--archive-format no-archive`` writes it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO

from mar_core.errors import ArchiveError
from mar_core.findings import has_errors
from mar_core.format.codes import finding, refusal
from mar_core.format.manifest import MANIFEST_NAME
from mar_core.format.names import check_names
from mar_core.format.view import Archive, Member, listed_digests, member_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.findings import Finding
    from mar_core.format.limits import Limits

__all__ = ["FolderArchive"]

_LEFT_OUT = frozenset({"__pycache__"})  # Python writes it whenever the folder's code has run


class FolderArchive(Archive):
    """A folder read as an archive.

    Links are followed where they stay inside the folder. Python's ``__pycache__`` folders are left
    out.

    Args:
        path: The folder.
        limits: How many files it may hold; its size is not limited.

    Raises:
        ArchiveError: It cannot be read.
        ValidationError: A link leads out of it, something in it is no file, or a name is bad.
    """

    kind = "folder"

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self._root = root = path.resolve()
        members: dict[str, Member] = {}
        faults: list[Finding] = []
        for name, source in _files(root, path):
            fault = _fault(name, source, root)
            if fault is not None:
                faults.append(fault)
            else:
                size = source.stat().st_size
                members[name] = Member(name=name, size=size, compressed_size=size, source=source)
            many = limits.too_many(len(members) + len(faults))
            if many is not None:
                raise refusal(path, many)
        findings = [*check_names(members), *faults]
        if has_errors(findings):
            raise refusal(path, *findings)
        self.findings = tuple(findings)
        self.members = MappingProxyType(members)

    def open(self, name: str) -> BinaryIO:
        """See ``Archive.open``; a folder's files are not checked while they are read."""
        source = self._root / self._known(name).name
        try:
            return source.open("rb")
        except OSError as error:
            raise ArchiveError(f"{source} cannot be read: {error.strerror}.") from error

    def verify(self) -> list[Finding]:
        """See ``Archive.verify``; a folder may be edited, so differences are warnings."""
        listed = listed_digests(self)
        there = self.members.keys() - {MANIFEST_NAME}
        changed = [
            name
            for name in sorted(there & listed.keys())
            if member_digest(self, name) != listed[name]
        ]
        others = sorted(there ^ listed.keys()) if listed else []
        return [
            *(finding("MAR-A135", "The file has changed since.", member=name) for name in changed),
            *(finding("MAR-A135", "The file came or went since.", member=name) for name in others),
        ]


def _files(root: Path, shown: Path) -> Iterator[tuple[str, Path]]:
    """Everything below the folder that is not a folder, by name, sorted."""

    def fail(error: OSError) -> None:
        raise ArchiveError(f"{shown} cannot be read: {error.strerror}.") from error

    for folder, inner, names in os.walk(root, onerror=fail):
        links = [name for name in inner if Path(folder, name).is_symlink()]
        inner[:] = sorted(set(inner) - _LEFT_OUT - set(links))
        for name in sorted([*names, *links]):
            source = Path(folder, name)
            yield source.relative_to(root).as_posix(), source


def _fault(name: str, source: Path, root: Path) -> Finding | None:
    if source.is_symlink() and not Path(os.path.realpath(source)).is_relative_to(root):
        return finding("MAR-A120", "The link leads out of the folder.", member=name)
    try:
        mode = source.stat().st_mode
    except OSError:
        return finding("MAR-A120", "The link leads to nothing.", member=name)
    if stat.S_ISDIR(mode):
        return finding("MAR-A120", "The link stands for a whole folder.", member=name)
    if not stat.S_ISREG(mode):
        return finding("MAR-A121", "It is a device, a pipe or a socket.", member=name)
    return None
