"""What a worker process tells its parent: answers over the socket, counts in a shared page."""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from mar_core.runtime.process import COUNTS, MARKS
from mar_core.runtime.protocol import ANSWER, from_worker

if TYPE_CHECKING:
    import socket

__all__ = ["Outbox", "Page", "flush_printed"]

# How long an answer may wait for others to travel with it.
TOGETHER = 0.002


class Outbox:
    """What goes to the parent, several messages at a time. Any thread may use it.

    A call counts as finished when its answer has been sent: one whose answer cannot be sent has a
    part in what comes of that.
    """

    def __init__(self, connection: socket.socket, page: Page) -> None:
        self._connection, self._page = connection, page
        self._lock = threading.Lock()
        self._waiting: list[list[Any]] = []
        self._sent = 0.0

    def add(self, message: list[Any]) -> None:
        """Send a message, at once or with those that come soon."""
        with self._lock:
            self._waiting.append(message)
        if time.perf_counter() - self._sent > TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Send what waits, after what the handler has printed meanwhile."""
        flush_printed()
        with self._lock:
            messages, self._waiting = self._waiting, []
            if messages:
                self._connection.sendall(from_worker(messages))
                self._page.finish(sum(message[0] == ANSWER for message in messages))
            self._sent = time.perf_counter()


class Page:
    """What worker and parent tell each other without a message.

    How many calls were begun and finished, where the parent can read it when this dies; and which
    requests nobody waits for any more, where this sees it however many calls lie before them.
    """

    def __init__(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "r+b") as file:
            whole = memoryview(mmap.mmap(file.fileno(), 0))
        self._numbers = whole[:COUNTS].cast("Q")
        self._marks = whole[COUNTS:]

    def gone(self, start: int, count: int) -> list[int]:
        """Which of these requests nobody waits for, counted from the first of them.

        Args:
            start: The place of the first among all that were given.
            count: How many they are.
        """
        first = start % MARKS
        if first + count <= MARKS and not any(self._marks[first : first + count]):
            return []
        return [at for at in range(count) if self._marks[(start + at) % MARKS]]

    def begin(self) -> None:
        """A call begins."""
        self._numbers[2] = time.monotonic_ns()
        self._numbers[0] += 1

    def finish(self, number: int) -> None:
        """So many calls have been answered."""
        self._numbers[2] = time.monotonic_ns()
        self._numbers[1] += number


def flush_printed() -> None:
    """Let out what the handler has printed; it may have closed the streams."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
