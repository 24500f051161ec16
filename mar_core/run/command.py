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
from mar_core.run.summary import summary_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from mar_core.records import RunSummary
    from mar_core.run.asked import Asked
    from mar_core.run.session import Job

__all__ = ["private_stdout", "start"]

SOME_FAILED = 1
INTERRUPTED = 130
STDOUT, STDERR = 1, 2


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
    return SOME_FAILED if summary.failed or summary.failed_before else 0


def _watch(job: Job, *, as_json: bool) -> int:
    from mar_core.run.watch import files_of, watch

    check_outputs(job)
    watch(
        lambda: _run(job, as_json=as_json) != INTERRUPTED,
        files=lambda: files_of(job),
    )
    return INTERRUPTED


def _dry_run(job: Job, *, as_json: bool) -> int:
    from mar_core.run.dry import describe, description_lines

    check_outputs(job)
    found = describe(job)
    lines = [json.dumps(found, indent=2)] if as_json else description_lines(found)
    sys.stdout.write("\n".join([*lines, ""]))
    return 0


def _conclude(job: Job, summary: RunSummary) -> None:
    """Say at the end what it came to."""
    lines = [] if job.quiet else summary_lines(summary)
    if summary.interrupted:
        lines.append(interrupted_line(summary, job.output))
    for line in lines:
        print(line, file=sys.stderr)


def _console(stream: Any) -> Console:
    from rich.console import Console

    return Console(file=stream)


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
