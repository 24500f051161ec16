"""Results in a file: row by row where its format is one of lines, else whole at the end."""

from __future__ import annotations

import contextlib
import io
import json
import time
from typing import TYPE_CHECKING, Any

from mar_core.errors import MarError, OutputError, UsageError
from mar_core.format.atomic import real_path
from mar_core.run.writers.base import Output, dump, parse
from mar_core.run.writers.journal import Journal, RunState
from mar_core.runtime.file_watch import stamp_of
from mar_core.runtime.targets import named, replaced, sweep, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mar_core.records import Outcome, RunSummary, WriteOptions, Writer
    from mar_core.runtime.values import Save

__all__ = ["FileOutput"]

# So often a writer notes how far the run is: what a kill leaves tells it, too.
NOTE_SECONDS = 5.0


class FileOutput(Output):
    """Writes to a file in the format of a writer.

    A writer that streams appends to the file itself. For any other the rows are kept as JSON lines
    in ``FILE.part`` until the end, when the file appears whole and the part goes; until then the
    run can be resumed. What was there before is replaced when the first row comes: a run that
    cannot begin costs nobody their results.

    Args:
        path: The file.
        writer: Writes the format.
        options: How.
        resume: Go on with the run that it holds.
        digest: What makes the rows: the archive's digest, and whatever else must stay the same.
        force: Replace a file that mar did not write, or an interrupted run.
        save_for: Makes, for an id, what takes over bytes, tensors and pictures.
        summary: What the run has come to so far, for writers that note it.

    Raises:
        UsageError: The format cannot be resumed, or lacks a package.
        OutputError: Another run writes to it; it holds an interrupted run, or something that mar
            did not write, and neither ``resume`` nor ``force`` is set; or what is to be resumed was
            made by something else.
    """

    def __init__(
        self,
        path: Path,
        *,
        writer: Writer,
        options: WriteOptions,
        resume: bool,
        digest: str,
        force: bool = False,
        save_for: Callable[[str], Save] | None = None,
        summary: RunSummary | None = None,
    ) -> None:
        super().__init__(save_for=save_for, options=options)
        self.previews = writer.previews
        self._summary = summary
        self._noted = time.monotonic()
        _check_options(path, writer, options, resume=resume)
        # Whole, for a handler in this process may change the folder that a short one begins in.
        self._path = real_path(path)
        self._writer = writer
        self._digest = digest
        self._closed = False
        self._begun = 0
        self._part = self._path
        if not writer.streams:
            self._part = self._path.with_name(f"{self._path.name}.part")
        _check_ordinary(self._path)
        if not force:
            _check_replaceable(self._path, self._part, resume=resume)
        self._journal = Journal(self._part, parse=writer.parse if writer.streams else parse)
        try:
            self._check(resume=resume, force=force)
            if resume:
                self._begin(keep=True)
        except BaseException:
            self._journal.forget()
            raise

    def _check(self, *, resume: bool, force: bool) -> None:
        """Look at what is there, now that no other run can write to it."""
        path, state, begun = self._path, RunState.load(self._path), not self._journal.empty
        if resume:
            _check_resume(path, self._writer, state, self._digest, begun=begun)
            self.done_since = 0 if state is None else state.begun
        elif state is not None and not state.finished and begun and not force:
            raise OutputError(
                f"{named(path)} holds an interrupted run.",
                hint="Go on with it by --resume, or start afresh with --force.",
            )

    def _begin(self, *, keep: bool) -> None:
        """Make ready for rows, and note the new run."""
        self._journal.begin(keep=keep)
        self.done, self.failed_before = self._journal.done, self._journal.failed
        sweep(self._path.parent, self._path.name, RunState.path(self._path).name)
        self._begun = time.time_ns()
        RunState(digest=self._digest, finished=False, begun=self._begun).save(self._path)
        if self._writer.streams and self._journal.empty:
            with _told(self._writer):
                self._journal.append(self._writer.head(self.options))

    def flush(self) -> None:
        """Wait until all rows are on the disk."""
        self._journal.flush()

    def close(self, *, finished: bool = True) -> None:
        """Flush, and at the end of a run put the file in its place; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if not self._begun and not finished:
            self._journal.forget()
            return
        try:
            if not self._begun:
                self._begin(keep=False)
            self._note()
            self._journal.flush()
            if finished:
                self._finish()
        finally:
            self._journal.close()

    def _finish(self) -> None:
        if not self._writer.streams:
            with writing(self._path), replaced(self._path) as stream, _told(self._writer):
                self._writer.write(self._written, stream, self.options)
            self._part.unlink()
        stamp = stamp_of(self._path)
        state = RunState(digest=self._digest, finished=True, stamp=stamp, begun=self._begun)
        state.save(self._path)

    def _put(self, outcomes: list[Outcome]) -> None:
        if not self._begun:
            self._begin(keep=False)
        rows = self._rows(outcomes)
        if not self._writer.streams:
            self._journal.append(b"".join(map(dump, rows)))
            return
        buffer = io.BytesIO()
        with _told(self._writer):
            self._writer.write(lambda: iter(rows), buffer, self.options)
        self._journal.append(buffer.getvalue())
        if time.monotonic() - self._noted > NOTE_SECONDS:
            self._note()

    def _note(self) -> None:
        self._noted = time.monotonic()
        if self._summary is not None and self._writer.streams:
            with _told(self._writer):
                note = self._writer.note(self._summary)
            if note:
                self._journal.append(note)

    def _written(self) -> Iterator[dict[str, Any]]:
        """All rows, from the first."""
        with self._part.open("rb") as stream:
            for line in stream:
                yield json.loads(line)


@contextlib.contextmanager
def _told(writer: Writer) -> Iterator[None]:
    """Say whose writer failed; the rows that came are kept.

    Raises:
        OutputError: It raised.
    """
    try:
        yield
    except (MarError, OSError):
        raise
    except Exception as error:
        raise OutputError(
            f"The writer {writer.name!r} failed: {type(error).__name__}: {error}.",
            hint="The rows are kept; go on with --resume when it is mended.",
        ) from error


def _check_options(path: Path, writer: Writer, options: WriteOptions, *, resume: bool) -> None:
    name = named(path)
    if resume and writer.streams and not writer.resumes:
        raise UsageError(f"{name} cannot be resumed.", hint="A .jsonl can.")
    if options.flat and not writer.flattens:
        raise UsageError(f"--flat is for tables, and {name} is no table.", hint="Name a .csv.")
    writer.check(options)


def _check_ordinary(path: Path) -> None:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OutputError(f"{named(path)} cannot be written: it is no ordinary file.")


def _check_replaceable(path: Path, part: Path, *, resume: bool) -> None:
    """Refuse to replace what somebody else wrote: the output, its note, or its part."""
    state, note = RunState.load(path), RunState.path(path)
    ours = {path: resume or state is not None, note: state is not None}
    if part != path:
        ours[part] = resume or not (state is None or state.finished)  # a finished run leaves none
    strange = next(
        (file for file, is_ours in ours.items() if not is_ours and _is_filled(file)), None
    )
    why = ""
    if strange is not None:
        why = f"{named(strange)} is there, and mar did not write it"
    elif state is not None and not resume and _is_filled(path):
        why = state.foreign_change(path)
    if why:
        raise OutputError(f"{why}.", hint="Name another output, or replace it with --force.")


def _is_filled(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _check_resume(
    path: Path, writer: Writer, state: RunState | None, digest: str, *, begun: bool
) -> None:
    name = named(path)
    if not begun and path.exists() and path.stat().st_size and not writer.streams:
        raise OutputError(
            f"{name} is finished, and a finished {path.suffix} cannot be added to.",
            hint="Name another output; a .jsonl can be resumed at any time.",
        )
    if state is None and begun:
        raise OutputError(
            f"{name} cannot be resumed: {RunState.path(path).name} beside it, which says what made "
            f"it, is missing.",
            hint="Name another output, or start afresh with --force.",
        )
    if state is not None and begun and state.digest != digest:
        raise OutputError(
            f"{name} was made by another archive or in another way ({state.digest[:12]}, not "
            f"{digest[:12]}).",
            hint="Resume with what it was begun with, or name another output.",
        )
