"""Ctrl-C while a run goes on: a wish that is honoured within a second or two, whatever runs."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType
    from typing import Self

__all__ = ["Interruption"]

# How long the batch at work has to end after the first Ctrl-C.
GRACE = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Turns Ctrl-C and SIGTERM into a wish to stop. Use it as a context manager.

    Nothing is raised in the middle of a handler, and a handler that raises ``KeyboardInterrupt``
    itself is not taken for the user. A thread waits for the signal, so that a handler that computes
    and never comes back cannot hold the run up: after a grace period, or at the second Ctrl-C, the
    process says its last words and ends.

    Outside of the main thread, where signals cannot be taken, it does nothing.

    Args:
        last_words: Called before the process ends from the outside; must not wait.

    Attributes:
        wished: Whether the user wants the run to stop.
    """

    def __init__(self, last_words: Callable[[], None]) -> None:
        self.wished = False
        self._last_words = last_words
        self._before: dict[signal.Signals, object] = {}
        self._read = self._write = -1
        self._over = threading.Event()

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        # Written to by the interpreter at once, even while the main thread is deep in C.
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        threading.Thread(target=self._watch, name="mar-interrupt", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._before:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._wakeup)
        self._over.set()
        os.close(self._write)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.wished = True
        if signal.set_wakeup_fd(self._write, warn_on_full_buffer=False) != self._write:
            # Something, such as an event loop of the handler's, had taken the place of ours.
            with contextlib.suppress(OSError):
                os.write(self._write, bytes([number]))

    def _watch(self) -> None:
        number = self._next()
        if number is not None:
            self.wished = True
            select.select([self._read], [], [], GRACE)
            if not self._over.is_set():
                self._last_words()
                os._exit(128 + number)
        os.close(self._read)

    def _next(self) -> int | None:
        """Wait for one of the two signals; None when the run is over. Others are the handler's."""
        while byte := os.read(self._read, 1):
            if byte[0] in _SIGNALS:
                return byte[0]
        return None
