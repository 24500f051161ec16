"""Doing something again whenever a file changes."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.build.request import ArchiveRequest
from mar_core.errors import MarError
from mar_core.format.atomic import is_inside
from mar_core.run.readers.folders import find_files, is_folder, is_pattern
from mar_core.run.readers.sources import is_url
from mar_core.runtime.file_watch import FileWatch
from mar_core.runtime.recipe import Recipe
from mar_core.text import printable_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mar_core.run.outputs import Outputs
    from mar_core.run.session import Job

__all__ = ["files_of", "watch"]

POLL_SECONDS = 0.2


def watch(act: Callable[[], bool], *, files: Callable[[], Iterable[Path]]) -> None:
    """Act, then again at each change of a file, until the user has had enough.

    What goes wrong is said, and the next change is waited for.

    Args:
        act: What to do; False when the user wants no more.
        files: The files to watch; asked anew before each time.
    """
    known: set[Path] = set()
    while True:
        # A file that was once a part of it may be missing now, and come back.
        known.update(files())
        saved = FileWatch(lambda: known)
        try:
            if not act():
                return
        except MarError as error:
            print(f"mar: error: {printable_lines(str(error))}", file=sys.stderr)
        print("mar: waiting for a change; Ctrl-C ends", file=sys.stderr, flush=True)
        while not saved.changed():
            time.sleep(POLL_SECONDS)


def files_of(job: Job) -> Iterator[Path]:
    """The files that a job is made of: the archive or its sources, and the inputs."""
    source = job.recipe.source
    if isinstance(source, ArchiveRequest):
        yield from _sources(source)
    else:
        yield source
    for name in job.sources:
        if not is_url(name):
            path = Path(name.removeprefix("@"))
            # A folder changes whenever a file comes to be in it: our own must not wake us.
            if not (path.is_dir() and any(is_inside(file, path) for file in job.outputs.files())):
                yield path
            yield from _below(name, job.reading.include, job.outputs)
    yield from map(Path, job.sent_files)


def _sources(request: ArchiveRequest) -> Iterator[Path]:
    """What the user has named, be it there or not, and what that brings along."""
    yield from request.files
    try:
        with Recipe(source=request).open() as archive:
            sources = [member.source for member in archive.members.values()]
    except MarError:  # it cannot be run either, and that will be said
        return
    yield from (source for source in sources if source is not None)


def _below(name: str, include: tuple[str, ...], outputs: Outputs) -> Iterator[Path]:
    try:
        if is_folder(name) or is_pattern(name):
            yield from map(Path, find_files(name, include, outputs))
    except MarError:  # likewise
        return
