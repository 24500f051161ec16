"""Inputs on their way to the workers: cut into batches and read in threads, ahead of need."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from mar_core.runtime.batching import Row, read
from mar_core.runtime.worker_process import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mar_core.records import Input, Outcome
    from mar_core.runtime.batching import Batcher, NumberedBatch

__all__ = ["Feed", "Parcel", "is_waiting"]

# Files and addresses are read so many at a time; reading waits more than it computes.
READERS = 4
# What one parcel should take a worker, so that giving it costs little beside; at most so many.
SECONDS = 0.005
MOST_JOBS = 64
MOST_ROWS = 512
# Batches are joined into one parcel up to so many bytes, and so many are read ahead of the workers,
# as far as the inputs say how large they are; one batch may be larger than either.
PARCEL_BYTES = 1 << 26
AHEAD_BYTES = 1 << 28
CALL_SECONDS = 30e-6
_THREAD = "mar-feed"


def is_waiting() -> bool:
    """Whether a thread still waits for inputs that nobody wants any more.

    Python cannot be ended in its own way then: it aborts where standard input is in use.
    """
    return any(thread.name == _THREAD for thread in threading.enumerate())


class Parcel:
    """Some batches that travel together.

    Args:
        jobs: Those with something to answer.
        failed: What could not be read.
        seconds: How long reading took.
        last: The largest place in the run among them.
        size: How many bytes their inputs said they hold.
    """

    __slots__ = ("failed", "jobs", "last", "seconds", "size")

    def __init__(
        self, jobs: list[Job], failed: list[Outcome], *, seconds: float, last: int, size: int
    ) -> None:
        self.jobs = jobs
        self.failed = failed
        self.seconds = seconds
        self.last = last
        self.size = size


class Feed:
    """Reads inputs ahead of the workers. Close it at the end.

    Args:
        inputs: The inputs; they are iterated in a thread, for the next may be long in coming.
        batcher: Cuts them into batches.
        ahead: How many parcels are ready at most.
        wake: Called when there is something to take.

    Attributes:
        exhausted: Whether there is nothing more to take.
        size: How many batches the next parcel takes.
    """

    def __init__(
        self, inputs: Iterable[Input], batcher: Batcher, *, ahead: int, wake: Callable[[], None]
    ) -> None:
        self._batches = batcher.batches(inputs)
        self._wake = wake
        self._queue: queue.Queue[Future[Parcel] | BaseException | None] = queue.Queue(ahead)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="mar-read")
        self._over = threading.Event()
        self._bytes, self._room = 0, threading.Condition()
        self._head: Future[Parcel] | None = None
        self._per_job = SECONDS
        self.exhausted = False
        self.size = 1
        self._thread = threading.Thread(target=self._work, name=_THREAD, daemon=True)
        self._thread.start()

    def learn(self, seconds: float, batches: int) -> None:
        """Take note of how long some batches took, on average; each counts for a quarter."""
        self._per_job += (seconds + CALL_SECONDS - self._per_job) * (1 - 0.75**batches)
        self.size = max(1, min(MOST_JOBS, int(SECONDS / self._per_job)))

    def take(self) -> Parcel | None:
        """The next parcel, or None where none is ready yet, or there will be none.

        Raises:
            Exception: What the iteration of the inputs raised.
        """
        if self._head is None and not self.exhausted:
            try:
                found = self._queue.get_nowait()
            except queue.Empty:
                return None
            if isinstance(found, BaseException):
                self.exhausted = True
                raise found
            self._head, self.exhausted = found, found is None
        if self._head is None or not self._head.done():
            return None
        parcel, self._head = self._head.result(), None
        with self._room:
            self._bytes -= parcel.size
            self._room.notify()
        return parcel

    def close(self) -> None:
        """Read nothing more."""
        self._over.set()
        with self._room:
            self._room.notify()
        while not self._queue.empty():
            self._queue.get_nowait()
        self._readers.shutdown(wait=False, cancel_futures=True)

    def _work(self) -> None:
        end: BaseException | None = None
        try:
            for batches, size in self._grouped():
                self._wait_for_room(size)
                if self._over.is_set():
                    return
                future = self._readers.submit(_read, batches, size)
                future.add_done_callback(lambda _: self._wake())
                self._queue.put(future)
        except BaseException as error:  # noqa: BLE001 - raised where the parcels are taken
            end = error
        if not self._over.is_set():
            self._queue.put(end)
            self._wake()

    def _wait_for_room(self, size: int) -> None:
        """Wait until that many bytes more may be read ahead; a parcel alone always may."""
        with self._room:
            self._room.wait_for(
                lambda: self._over.is_set() or not self._bytes or self._bytes + size <= AHEAD_BYTES
            )
            self._bytes += size

    def _grouped(self) -> Iterator[tuple[list[NumberedBatch], int]]:
        """Batches that travel together, and how many bytes their inputs say they hold."""
        group: list[NumberedBatch] = []
        rows = size = 0
        for batch in self._batches:
            more = sum(source.size or 0 for _, source in batch)
            if group and size + more > PARCEL_BYTES:
                yield group, size
                group, rows, size = [], 0, 0
            group.append(batch)
            rows, size = rows + len(batch), size + more
            if len(group) >= self.size or rows >= MOST_ROWS:
                yield group, size
                group, rows, size = [], 0, 0
        if group:
            yield group, size


def _read(batches: list[NumberedBatch], size: int) -> Parcel:
    start = time.perf_counter()
    jobs: list[Job] = []
    failed: list[Outcome] = []
    last = 0
    for batch in batches:
        rows: list[Row] = []
        for index, source in batch:
            found = read(index, source)
            if isinstance(found, Row):
                rows.append(found)
            else:
                failed.append(found)
            last = max(last, index)
        if rows:
            jobs.append(Job(rows))
    return Parcel(jobs, failed, seconds=time.perf_counter() - start, last=last, size=size)
