"""Ctrl-C while a run goes on: a wish that is honoured within a second or two."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType
    from typing import Self

__all__ = ["Interruption", "Stopped"]

# How long the batches at work have to end after the first Ctrl-C.
GRACE = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """The run must end now."""


class Interruption:
    """Turns Ctrl-C and SIGTERM into a wish to stop. Use it as a context manager.

    No handler runs in this process, and workers hear none of its signals: what is at work may end;
    after a grace period, or at the second Ctrl-C, ``Stopped`` is raised, though never while results
    are being written.

    Outside of the main thread, where signals cannot be taken, it does nothing.

    Attributes:
        wished: Whether the user wants the run to stop.
        writing: Whether something is being written, and must be written to its end; whoever
            writes says so, and stops after it when it is ``overdue``.
        overdue: Whether time ran out meanwhile.
    """

    def __init__(self) -> None:
        self.wished = False
        self._before: dict[signal.Signals, object] = {}
        self._timer: threading.Timer | None = None
        self.writing = self.overdue = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self._timer is not None:
            self._timer.cancel()

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if not self.wished:
            self.wished = True
            # A signal, and not a call: it must reach the main thread where that waits.
            self._timer = threading.Timer(GRACE, os.kill, (os.getpid(), number))
            self._timer.daemon = True
            self._timer.start()
        elif self.writing:
            self.overdue = True
        else:
            raise Stopped
