"""A progress bar for work that takes over a second, on a terminal only."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

from mar_core.format.digests import quiet as nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["copying"]

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
