"""How far a run is: a bar on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mar_core.records import RunSummary

__all__ = ["Show", "show_progress"]

# Short runs show nothing.
PATIENCE = 1.0
LOG_SECONDS = 10.0
BAR_SECONDS = 0.05


class Show(Protocol):
    """Is told after outcomes what the run has come to.

    Attributes:
        due: By the monotonic clock, from when on it wants to hear.
    """

    due: float

    def __call__(self, summary: RunSummary) -> None:
        """Show it."""


@contextlib.contextmanager
def show_progress(
    *, quiet: bool = False, results_on_terminal: bool = False, count: Callable[[], int | None]
) -> Iterator[Show | None]:
    """Show on standard error how far a run is.

    Args:
        quiet: Show nothing.
        results_on_terminal: Results scroll by on the same terminal, and are progress enough.
        count: Counts the inputs, in a thread of its own; None when that cannot be done beforehand.

    Yields:
        What to tell after an outcome when it is due, or None.
    """
    if quiet or results_on_terminal:
        yield None
    elif sys.stderr.isatty():
        bar = _Bar(count)
        try:
            yield bar
        finally:
            bar.close()
    else:
        yield _Log()


class _Log:
    """A line every few seconds."""

    def __init__(self) -> None:
        self.due = time.monotonic() + LOG_SECONDS

    def __call__(self, summary: RunSummary) -> None:
        self.due = time.monotonic() + LOG_SECONDS
        rate = summary.total / summary.seconds if summary.seconds else 0.0
        print(
            f"mar: {summary.total + summary.skipped:,} done, {rate:,.1f} a second, "
            f"{summary.failed:,} failed",
            file=sys.stderr,
            flush=True,
        )


class _Bar:
    """A bar that appears after a second."""

    def __init__(self, count: Callable[[], int | None]) -> None:
        self.due = time.monotonic() + PATIENCE
        self._count = count
        self._stack = contextlib.ExitStack()
        self._show: Callable[[RunSummary], None] | None = None
        self._total: int | None = None

    def __call__(self, summary: RunSummary) -> None:
        if self._show is None:
            self._show = self._open()
        self._show(summary)
        self.due = time.monotonic() + BAR_SECONDS

    def close(self) -> None:
        """Take the bar away."""
        self._stack.close()

    def _open(self) -> Callable[[RunSummary], None]:
        from rich import progress
        from rich.console import Console

        bar = self._stack.enter_context(
            progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.TextColumn("{task.completed:,.0f} done"),
                progress.TextColumn("{task.fields[rate]}"),
                progress.TextColumn("{task.fields[failed]}", style="red"),
                progress.TimeRemainingColumn(),
                console=Console(stderr=True),
                redirect_stdout=False,
                transient=True,
            )
        )
        task = bar.add_task("running", total=None, rate="", failed="")
        threading.Thread(target=self._find_total, daemon=True).start()

        def show(summary: RunSummary) -> None:
            bar.update(
                task,
                description=summary.model,
                total=self._total,
                completed=summary.total + summary.skipped,
                rate=f"{summary.total / max(summary.seconds, 1e-9):,.1f}/s",
                failed=f"{summary.failed:,} failed" if summary.failed else "",
            )

        return show

    def _find_total(self) -> None:
        self._total = self._count()
