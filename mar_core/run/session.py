"""A whole run: inputs in, an engine, results out, and what it came to."""

from __future__ import annotations

import contextlib
import itertools
import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TextIO

from mar_core.plugins import get_plugins
from mar_core.records import ReadOptions, RunOptions, RunSummary, WriteOptions
from mar_core.run.beside import Beside, Truth
from mar_core.run.curl import data_input, form_input, upload_input
from mar_core.run.engines import find_engine
from mar_core.run.inputs import check_flags, expand, listed
from mar_core.run.interrupt import Interruption, Stopped
from mar_core.run.outputs import Outputs, check_apart
from mar_core.run.progress import show_progress
from mar_core.run.resuming import ChangedSources, identity_of
from mar_core.run.writers import open_writer
from mar_core.runtime.targets import sweep
from mar_core.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from rich.console import Console

    from mar_core.format import Archive
    from mar_core.plugins import Plugins
    from mar_core.records import Input, Outcome
    from mar_core.run.curl import DataPart, FormField
    from mar_core.run.progress import Show
    from mar_core.run.writers import Output
    from mar_core.runtime.recipe import Recipe

__all__ = ["STREAMS", "Job", "count", "execute", "inputs_of", "interrupted_line"]

# Sources that can be listed once only.
STREAMS = ("-", "@-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What ``mar run`` was asked to do.

    Attributes:
        recipe: How to load the archive.
        sources: The inputs as the user named them.
        form: The fields of one request, in place of ``sources``.
        data: The body of one request, in place of ``sources``.
        uploads: Files that are sent as they are, in place of ``sources``.
        reading: How to read them.
        running: How to run them.
        engine: The engine's name.
        output: Where results go; None is standard output.
        streams: The files that standard output and errors are, by device and inode.
        resume: Go on with what ``output`` holds.
        force: Replace an output that mar did not write, or that holds an interrupted run.
        writing: How results are written.
        truth: What says what the inputs really are, or None.
        limit: Run this many inputs at most.
        quiet: Say nothing but results and errors.
        verbose: Show where in the handler a failure happened.
    """

    recipe: Recipe
    sources: tuple[str, ...] = ()
    form: tuple[FormField, ...] = ()
    data: tuple[DataPart, ...] = ()
    uploads: tuple[str, ...] = ()
    reading: ReadOptions = field(default_factory=ReadOptions)
    running: RunOptions = field(default_factory=RunOptions)
    engine: str = "local"
    output: Path | None = None
    streams: frozenset[tuple[int, int]] = frozenset()
    resume: bool = False
    force: bool = False
    writing: WriteOptions = field(default_factory=WriteOptions)
    truth: str | None = None
    limit: int | None = None
    quiet: bool = False
    verbose: bool = False

    @property
    def writes_files(self) -> bool:
        """Whether it writes to any file: standard output may be one, too."""
        places = (self.output, self.running.output_dir, self.running.profile)
        return bool(self.streams) or any(place is not None for place in places)

    @property
    def outputs(self) -> Outputs:
        """Where it writes."""
        folders = (self.running.output_dir, self.running.profile)
        given = tuple(folder for folder in folders if folder is not None)
        return Outputs(self.output, given, self.streams)

    @property
    def sent_files(self) -> tuple[str, ...]:
        """The files that are sent as they are or as parts of one request, and settings."""
        parts = [part.path for part in self.form] + [part.path for part in self.data]
        metrics = self.recipe.metrics_config
        settings = (Truth.path_of(self.truth), None if metrics is None else str(metrics))
        return (*self.uploads, *(path for path in (*parts, *settings) if path is not None))


def check_outputs(job: Job) -> None:
    """Refuse a job that would write over what it reads.

    Raises:
        UsageError: It would.
    """
    if not job.writes_files:
        return
    outputs = job.outputs
    # Lists are read for it only where there is something to lose.
    lists = listed(job.sources) if outputs.identities() else ()
    given = (*job.sources, *job.sent_files)
    named = [source for source in given if source not in STREAMS]
    stdin = len(named) < len(given)
    check_apart(outputs, archive=job.recipe.source, inputs=named, lists=lists, stdin=stdin)


def execute(
    job: Job, *, stream: TextIO | None = None, console: Console | None = None
) -> RunSummary:
    """Run an archive over inputs.

    Args:
        job: What to do.
        stream: Standard output, where it is not ``sys.stdout``.
        console: Show results for people here, in place of JSON lines on standard output.

    Returns:
        What it came to; ``interrupted`` when the user stopped it.

    Raises:
        MarError: The archive cannot be loaded, or the output cannot be written.
    """
    check_outputs(job)
    opened = [job.recipe.open()]  # once: the engine takes it from here
    recipe = replace(job.recipe, opened=opened)
    try:
        return _execute(replace(job, recipe=recipe), opened[0], stream, console)
    finally:
        for archive in opened:
            archive.close()


def _execute(
    job: Job, archive: Archive, stream: TextIO | None, console: Console | None
) -> RunSummary:
    summary = RunSummary(model=archive.manifest.model_name or "model")
    if job.running.explain:
        _check_explains(archive)
    plugins = get_plugins()
    check_reading(job, plugins)
    digest = "" if job.output is None else _digest(job, archive)
    if job.writes_files:
        for folder in job.outputs.folders:
            sweep(folder)
    writer = open_writer(
        job.output,
        resume=job.resume,
        force=job.force,
        digest=digest,
        output_dir=job.running.output_dir,
        options=job.writing,
        summary=summary,
        stream=stream,
        console=console,
    )
    summary.failed_before = writer.failed_before
    run = _Run(job, writer, summary, beside=_beside(job, writer), plugins=plugins)
    finished = False
    try:
        plugins.run_started(summary)
        finished = run.to_its_end(results_on_terminal=console is not None)
        summary.finished = finished
    finally:
        writer.close(finished=finished)
        plugins.run_finished(summary)
    return summary


def _beside(job: Job, writer: Output) -> Beside | None:
    """What goes into rows beside results, where anything does."""
    keep, done = job.writing.keep, len(writer.done)
    truth = None if job.truth is None else Truth(job.truth)
    if not keep and truth is None and not writer.previews:
        return None
    return Beside(keep=keep, truth=truth, previews=writer.previews, done=done)


def _digest(job: Job, archive: Archive) -> str:
    """What the rows of the output are made of."""
    explain, top = job.running.explain, job.writing.top
    return identity_of(archive, job.recipe, job.reading, explain=explain, top=top, truth=job.truth)


def _check_explains(archive: Archive) -> None:
    """Say before a model is loaded that its handler cannot explain.

    Raises:
        MarError: It cannot; the sentence says what it lacks.
    """
    from mar_core.checks.subject import Subject
    from mar_core.handlers.entry import why_unexplained

    subject = Subject(archive)
    if subject.handler is not None:
        error = why_unexplained(subject.handler, subject.handler_module)
        if error is not None:
            raise error


def check_reading(job: Job, plugins: Plugins) -> None:
    """Refuse flags that would do nothing for the inputs of a job.

    Raises:
        UsageError: There is one.
    """
    reading = job.reading if job.truth is None else replace(job.reading, keep=())
    if reading.column or reading.keep or reading.include:
        check_flags(job.sources, reading, plugins.readers())


def inputs_of(
    job: Job, opened: Callable[[str], None] | None = None, plugins: Plugins | None = None
) -> Iterator[Input]:
    """The inputs of a job, in order, none read yet.

    Args:
        job: The job.
        opened: Told the name of each source before its inputs come.
        plugins: Who offers readers; by default those of this process.
    """
    if job.form:
        inputs: Iterable[Input] = [form_input(job.form, job.reading)]
    elif job.data:
        inputs = [data_input(job.data, job.reading)]
    elif job.uploads:
        inputs = [upload_input(path, job.reading) for path in job.uploads]
    else:
        readers = (plugins or get_plugins()).readers()
        outputs = job.outputs if job.writes_files else None
        inputs = expand(job.sources, job.reading, readers, outputs, opened=opened)
    return itertools.islice(inputs, job.limit)


class _Run:
    """One run in progress."""

    def __init__(
        self,
        job: Job,
        writer: Output,
        summary: RunSummary,
        *,
        beside: Beside | None,
        plugins: Plugins,
    ) -> None:
        self._job = job
        self._plugins = plugins
        self._writer = writer
        self._summary = summary
        self._start = time.monotonic()
        self._interruption = Interruption()
        self._changed = ChangedSources(writer.done_since) if writer.done else None
        self._beside = beside

    def to_its_end(self, *, results_on_terminal: bool) -> bool:
        """Run everything; whether nothing was left out."""
        job, summary = self._job, self._summary
        engine = find_engine(job.engine, self._plugins, job.running.engine_options)
        progress = show_progress(
            quiet=job.quiet, results_on_terminal=results_on_terminal, count=self._count
        )
        stopped = False
        with (
            self._interruption as interruption,
            contextlib.suppress(Stopped),
            progress as show,
            contextlib.ExitStack() as stack,
        ):
            outcomes = engine.run(job.recipe, self._inputs(), job.running, summary)
            stack.callback(getattr(outcomes, "close", int))
            for outcome in outcomes:
                interruption.writing = True
                failed = self._take(outcome, show)
                interruption.writing = False
                if interruption.overdue:
                    break
                stopped = interruption.wished or (failed and job.running.fail_fast)
                if stopped:
                    break
        if self._changed is not None:
            self._changed.warn()
        if self._beside is not None:
            self._beside.close()
        summary.seconds = time.monotonic() - self._start
        summary.interrupted = interruption.wished
        return not stopped and not interruption.wished

    def _inputs(self) -> Iterator[Input]:
        changed, beside = self._changed, self._beside
        opened = None if changed is None else changed.opened
        for source in inputs_of(self._job, opened, self._plugins):
            if self._interruption.wished:
                return
            if changed is not None and source.id in self._writer.done:
                self._summary.skipped += 1
                changed.skipped()
            else:
                yield source if beside is None else beside.watched(source)

    def _take(self, outcome: Outcome, show: Show | None) -> bool:
        """Write an outcome down; whether it is a failure."""
        beside = None if self._beside is None else self._beside.take(outcome.id)
        (written,) = self._writer.write([outcome], beside)
        count(self._summary, written)
        if self._beside is not None and beside is not None:
            self._beside.judge(self._summary, written, beside)
        now = time.monotonic()
        self._summary.seconds = now - self._start
        if show is not None and now >= show.due:
            show(self._summary)
        if written.failure is None:
            return False
        if self._job.verbose and written.failure.traceback:
            print(f"{written.id}:\n{written.failure.traceback}", file=sys.stderr)
        return True

    def _count(self) -> int | None:
        """How many inputs there are, where they can be listed twice."""
        if any(source in STREAMS for source in (*self._job.sources, *self._job.uploads)):
            return None
        return sum(1 for _ in inputs_of(self._job) if not self._interruption.wished)


def count(summary: RunSummary, outcome: Outcome) -> None:
    """Add one outcome to a summary."""
    summary.total += 1
    if outcome.failure is None:
        summary.succeeded += 1
    else:
        summary.errors[f"{outcome.failure.stage}/{outcome.failure.type}"] += 1


def interrupted_line(summary: RunSummary, output: Path | None) -> str:
    """What is said when a run was stopped, and how to go on."""
    done = summary.total + summary.skipped
    line = f"mar: interrupted; {done:,} {plural(done, 'input')} done."
    if output is None or not done:
        return line
    return f"{line} Go on with the same command and --resume."
