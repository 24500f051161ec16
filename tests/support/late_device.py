"""A device that works as CUDA does: what it is asked comes later, in order on each stream alone.

Its streams are threads, and what is asked of them are functions. Whoever reads what another stream
leaves, without having waited for it, reads too early.
"""

from __future__ import annotations

import contextlib
import queue
import random
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Event:
    def __init__(self, **options: bool) -> None:
        self.options = options
        self._happened = threading.Event()
        self.at = 0.0

    def record(self, stream: Stream) -> None:
        stream.ask(self._happen)

    def _happen(self) -> None:
        self.at = time.perf_counter()
        self._happened.set()

    def synchronize(self) -> None:
        assert self._happened.wait(60)

    def elapsed_time(self, other: Event) -> float:
        return (other.at - self.at) * 1000


class Stream:
    def __init__(self, device: object = None) -> None:
        self.asked: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def ask(self, work: Callable[[], Any]) -> None:
        self.asked.put(work)

    def wait_event(self, event: Event) -> None:
        self.ask(event.synchronize)

    def _work(self) -> None:
        dice = random.Random(id(self))
        while True:
            work = self.asked.get()
            time.sleep(dice.random() * 0.004)
            work()


class LateDevice:
    """What stands for ``torch.cuda``."""

    Event, Stream = Event, Stream

    def __init__(self) -> None:
        self._default = Stream()
        self._mine = threading.local()

    def default_stream(self, device: object = None) -> Stream:
        return self._default

    @contextlib.contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        before, self._mine.stream = self.current(), stream
        try:
            yield
        finally:
            self._mine.stream = before

    def current(self) -> Stream:
        """The stream that this thread asks."""
        return getattr(self._mine, "stream", self._default)

    def compute(self, work: Callable[[], Any]) -> None:
        """Ask for something, and go on."""
        self.current().ask(work)

    def fetch(self, read: Callable[[], Any]) -> Any:
        """Ask for something and wait for it, as ``tolist`` of a tensor does."""
        found: list[Any] = []
        event = Event()
        stream = self.current()
        stream.ask(lambda: found.append(read()))
        event.record(stream)
        event.synchronize()
        return found[0]
