"""What a run writes: never one of its inputs, and never taken for one."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.errors import UsageError
from mar_core.format.atomic import is_inside, real_path, same_file
from mar_core.run.readers.sources import is_url
from mar_core.run.writers.journal import RunState
from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mar_core.build.request import ArchiveRequest

__all__ = ["Outputs", "check_apart", "is_note", "standard_files"]

Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Outputs:
    """The places that a run writes to.

    Attributes:
        file: The output, or None for standard output.
        folders: Where bytes, pictures and traces go.
        streams: The files that standard output and errors go to (``> results.jsonl``).
    """

    file: Path | None = None
    folders: tuple[Path, ...] = ()
    streams: frozenset[Identity] = frozenset()

    def files(self) -> tuple[Path, ...]:
        """The output, the rows on their way there, and the note of what made it."""
        if self.file is None:
            return ()
        real = real_path(self.file)
        part = real.with_name(f"{real.name}.part")
        return real, part, RunState.path(real)

    def identities(self) -> frozenset[Identity]:
        """What is there now of all this, by device and inode: links to it count as it."""
        named = map(_identity, (*self.files(), *self.folders))
        return frozenset(filter(None, named)) | self.streams

    def holds(self, path: str) -> bool:
        """Whether a path leads to a file or folder that the run writes, or will write."""
        identity = _identity(path)
        if identity is None:
            return real_path(path) in self.files()
        return identity in self.identities()


def check_apart(
    outputs: Outputs,
    *,
    archive: Path | ArchiveRequest,
    inputs: Iterable[str],
    lists: Iterable[str],
    stdin: bool = False,
) -> None:
    """Refuse a run that would write over what it reads, before anything is opened.

    Args:
        outputs: Where it writes.
        archive: What it runs.
        inputs: The paths that the user named: files, folders, patterns.
        lists: What lists of inputs name.
        stdin: Standard input is read, too.

    Raises:
        UsageError: An output is an input, or lies in the archive.
    """
    hint = "Name another place with --output or --output-dir."
    files = outputs.files()
    if stdin and _stream(0) in {*map(_identity, files), *outputs.streams} - {None}:
        raise UsageError("Standard input is a file that the run writes.", hint=hint)
    for source in (*inputs, *lists, *map(str, _files_of(archive))):
        if is_url(source):
            continue
        if _identity(source) in outputs.streams or any(same_file(source, file) for file in files):
            name = printable(source)
            raise UsageError(f"{name} is read and written by one run.", hint=hint)
        for folder in outputs.folders:
            if same_file(source, folder):
                name = printable(source)
                raise UsageError(f"The folder {name} is read and written by one run.", hint=hint)
    for home in _folders_of(archive):
        for place in (*outputs.files()[:1], *outputs.folders):
            if is_inside(place, home):
                where = printable(str(home))
                raise UsageError(
                    f"{printable(str(place))} would become a part of {where}, which is run.",
                    hint=hint,
                )


def is_note(path: str) -> bool:
    """Whether a file is what a run noted beside its output, ``results.csv.run``."""
    output = path.removesuffix(".run")
    return output != path and RunState.load(Path(output)) is not None


def _identity(path: str | Path) -> Identity | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - asked for each of a million files
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def standard_files() -> frozenset[Identity]:
    """The files that standard output and errors go to."""
    return frozenset(filter(None, map(_stream, (1, 2))))


def _stream(number: int) -> Identity | None:
    """The file that a standard stream is; None where it is a terminal, a pipe, or closed."""
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _files_of(archive: Path | ArchiveRequest) -> Iterator[Path]:
    """The files that are run."""
    if isinstance(archive, Path):
        yield archive
        return
    yield from archive.files
    yield from archive.extra_paths


def _folders_of(archive: Path | ArchiveRequest) -> list[Path]:
    """The folders of which every file is run."""
    places = [archive] if isinstance(archive, Path) else archive.extra_paths
    return [place for place in places if place.is_dir()]
