"""What the commands that write an archive have in common: signals, progress, the last line."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from typing import TYPE_CHECKING

import typer

from mar_core.format.digests import quiet as nothing
from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mar_core.build.packing import Written

__all__ = ["ending_cleanly", "print_written"]

_SIGNALS = ("SIGTERM", "SIGHUP")


@contextlib.contextmanager
def ending_cleanly(*, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Clean up when the process is told to end, and yield what shows the progress.

    Args:
        quiet: Show nothing.
    """
    known = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    before = {number: signal.signal(number, _end) for number in known}
    try:
        with copying(quiet=quiet) as progress:
            yield progress
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def print_written(written: Written, *, quiet: bool) -> None:
    """Print warnings on stderr, and the path, size and digest of an archive on stdout."""
    for finding in written.findings:
        typer.echo(str(finding), err=True)
    if not quiet:
        size, digest = _size(written.path), written.manifest.digest
        typer.echo(f"{printable(str(written.path))}  {size:,} bytes  sha256:{digest}")


def _end(number: int, _frame: object) -> None:
    """Turn a signal into an exception, so that what is half written is removed."""
    sys.exit(128 + number)


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size


PATIENCE = 1.0


@contextlib.contextmanager
def copying(*, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told bytes as they are done; the bar is on stderr.

    Args:
        quiet: Show nothing.
    """
    if quiet or not sys.stderr.isatty():
        yield nothing
        return
    bar = _LateBar()
    try:
        yield bar
    finally:
        bar.close()


class _LateBar:
    """Imports and draws nothing before a second has passed."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._done = 0
        self._stack = contextlib.ExitStack()
        self._advance: Callable[[int], None] | None = None

    def __call__(self, count: int) -> None:
        self._done += count
        if self._advance is not None:
            self._advance(count)
        elif time.monotonic() - self._start > PATIENCE:
            self._advance = self._open()
            self._advance(self._done)

    def close(self) -> None:
        self._stack.close()

    def _open(self) -> Callable[[int], None]:
        from rich.console import Console
        from rich.progress import DownloadColumn, Progress, SpinnerColumn, TransferSpeedColumn

        bar = Progress(
            SpinnerColumn(),
            "writing",
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._stack.enter_context(bar)
        task = bar.add_task("writing", total=None)
        return lambda count: bar.update(task, advance=count)
