"""What ``mar run`` does: once or at each change, for people or for programs."""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, TextIO

from mar_core.errors import MarError
from mar_core.run.planning import job_of
from mar_core.run.session import check_outputs, execute, interrupted_line
from mar_core.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from mar_core.records import RunSummary
    from mar_core.run.planning import Asked
    from mar_core.run.session import Job

__all__ = ["private_stdout", "start", "summary_lines"]

SOME_FAILED = 1
INTERRUPTED = 130
STDOUT, STDERR = 1, 2
_ORDER = ("read", "initialize", "preprocess", "inference", "postprocess", "explain", "write")
_MINUTE = 60
_SECOND = 1.0
# What took less is not worth a word.
SHOWN = 0.0005


def start(asked: Asked) -> int:
    """Do what ``mar run`` was asked to do.

    Args:
        asked: Every flag.

    Returns:
        The exit code: 0, or 1 when an input failed, or 130 when the user stopped it.

    Raises:
        MarError: Nothing could be run.
    """
    job = job_of(asked)
    if asked.dry_run:
        return _dry_run(job, as_json=asked.as_json)
    if asked.watch:
        return _watch(job, as_json=asked.as_json)
    return _run(job, as_json=asked.as_json)


def _run(job: Job, *, as_json: bool) -> int:
    with private_stdout() as stream:
        people = job.output is None and not as_json and stream.isatty()
        try:
            summary = execute(job, stream=stream, console=_console(stream) if people else None)
        except MarError as error:
            if job.verbose and error.__cause__ is not None:
                traceback.print_exception(error.__cause__)
            elif job.verbose:  # it comes from a worker
                sys.stderr.write(getattr(error, "traceback", ""))
            raise
    _conclude(job, summary)
    if summary.interrupted:
        return INTERRUPTED
    return SOME_FAILED if summary.errors or summary.failed_before else 0


def _watch(job: Job, *, as_json: bool) -> int:
    from mar_core.run.watch import files_of, watch

    check_outputs(job)
    watch(
        lambda: _run(job, as_json=as_json) != INTERRUPTED,
        files=lambda: files_of(job),
    )
    return INTERRUPTED


def _dry_run(job: Job, *, as_json: bool) -> int:
    from mar_core.run.dry import describe_run, description_lines

    check_outputs(job)
    found = describe_run(job)
    lines = [json.dumps(found, indent=2)] if as_json else description_lines(found)
    sys.stdout.write("\n".join([*lines, ""]))
    return 0


def _conclude(job: Job, summary: RunSummary) -> None:
    """Say at the end what it came to."""
    lines = [] if job.quiet else summary_lines(summary)
    if summary.interrupted:
        lines.append(interrupted_line(summary, job.output))
    if lines:
        sys.stderr.write("\n".join([*lines, ""]))


def _console(stream: Any) -> Console:
    from rich.console import Console

    return Console(file=stream)


def summary_lines(summary: RunSummary) -> list[str]:
    """The end of a run in words: inputs, errors by kind, rate, where the time went."""
    rate = f", {summary.total / summary.seconds:,.1f} a second" if summary.seconds else ""
    before = f", {summary.failed_before:,} of them failed" if summary.failed_before else ""
    skipped = f", {summary.skipped:,} done before{before}" if summary.skipped else ""
    done = (
        f"{summary.total:,} {plural(summary.total, 'input')} in {_seconds(summary.seconds)}{rate}"
    )
    ended = f"{summary.succeeded:,} succeeded, {summary.errors.total():,} failed{skipped}"
    lines = [f"{summary.model}: {done}; {ended}"]
    if summary.judged:
        share = summary.right / summary.judged
        lines.append(f"  right: {summary.right:,} of {summary.judged:,}, {share:.1%}")
    lines += [f"  {number:,} x {kind}" for kind, number in summary.errors.most_common()]
    spent = [
        f"{stage} {_seconds(summary.stage_seconds[stage])}"
        for stage in _ORDER
        if summary.stage_seconds.get(stage, 0.0) >= SHOWN
    ]
    if spent:
        lines.append(f"  time: {', '.join(spent)}")
    return lines


def _seconds(seconds: float) -> str:
    if seconds < _SECOND:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest} s"


@contextlib.contextmanager
def private_stdout() -> Iterator[TextIO]:
    """Keep standard output for the caller, whatever a handler prints, in Python or in C.

    Inside, file descriptor 1 is standard error. Where ``sys.stdout`` has been replaced by something
    without a descriptor, as tests do, only Python's own printing is kept away.

    Yields:
        The stream that still reaches standard output.
    """
    if not _is_real(sys.stdout):
        stream = sys.stdout
        with contextlib.redirect_stdout(sys.stderr):
            yield stream
        return
    sys.stdout.flush()
    saved = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)
    terminal = os.isatty(saved)
    try:
        # Closing the stream does not close the descriptor: it is needed to put things back.
        with io.open(  # noqa: UP020 - Path has no way to open a descriptor
            saved, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors,
            buffering=1 if terminal else -1, closefd=False,
        ) as stream:  # fmt: skip
            yield stream
    finally:
        _flush_all()
        os.dup2(saved, STDOUT)
        os.close(saved)


def _is_real(stream: TextIO) -> bool:
    try:
        return stream.fileno() == STDOUT
    except (OSError, ValueError, AttributeError):
        return False


def _flush_all() -> None:
    """Let out what was printed before standard output is back, C's buffers included."""
    sys.stdout.flush()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).fflush(None)
