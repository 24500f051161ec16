"""Inputs on their way to the model: cut into batches, and read in threads ahead of workers."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mar_core.records import Outcome
from mar_core.runtime.failures import failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mar_core.records import Input

__all__ = ["Batcher", "Call", "Feed", "NumberedBatch", "Parcel", "Row", "is_waiting", "read"]


# Files and addresses are read so many at a time; reading waits more than it computes.
READERS = 4
# What one parcel should take a worker, so that giving it costs little beside; at most so many.
SECONDS = 0.005
MOST_CALLS = 64
MOST_ROWS = 512
# Batches are joined into one parcel up to so many bytes, and so many are read ahead of the workers,
# as far as the inputs say how large they are; one batch may be larger than either.
PARCEL_BYTES = 1 << 26
AHEAD_BYTES = 1 << 28
CALL_SECONDS = 30e-6
_THREAD = "mar-feed"


NumberedBatch = list[tuple[int, "Input"]]

LARGEST = 256
# A batch twice as large must be this much faster for each input to be worth its memory.
WORTH_IT = 1.05
# How many batches' worth of inputs are looked at to put those of one length together.
WINDOW = 16
# How often a size is timed; the best counts, for a machine is never quiet.
SAMPLES = 3


class Row(NamedTuple):
    """One request that has been read: its place among those asked, and what the handler sees."""

    number: int
    id: str
    row: Any
    headers: Mapping[str, Any]


def read(
    index: int,
    source: Input,
    *,
    caught: tuple[type[BaseException], ...] = (Exception, SystemExit),
) -> Row | Outcome:
    """Read one input; if that fails, what became of it."""
    try:
        return Row(index, source.id, source.read(), source.headers)
    except caught as error:
        return Outcome(index=index, id=source.id, failure=failure_of(error, "read"))


class Batcher:
    """Cuts streams of inputs into batches; each input carries its place in the run.

    Args:
        size: Inputs in a batch. ``auto`` begins with one and doubles as long as that makes the run
            faster.
        by_length: Put inputs of about one length together, within a window of some batches.

    Attributes:
        size: How many inputs the next batch takes.
        reach: How far apart in the run the inputs of batches that follow each other can be.
        learns: Whether it wants to know how long batches take; that one did not fit, it always
            wants to know.
    """

    def __init__(self, *, size: int | Literal["auto"], by_length: bool = False) -> None:
        self._numbers = itertools.count()
        self._by_length = by_length
        self._search = _Search() if size == "auto" else None
        self._size = 1 if size == "auto" else size
        self._limit = LARGEST if size == "auto" else size
        self.learns = self._search is not None
        self._resize()

    def _resize(self) -> None:
        wanted = self._search.size if self._search is not None else self._size
        self.size = max(1, min(wanted, self._limit))
        self.reach = self.size * (WINDOW if self._by_length and self.size > 1 else 1)

    def batches(self, inputs: Iterable[Input]) -> Iterator[NumberedBatch]:
        """The batches of a stream; places count on from one stream to the next."""
        stream = iter(inputs)
        while inputs := list(itertools.islice(stream, self.reach)):
            window = [(next(self._numbers), item) for item in inputs]
            if self._by_length:
                window.sort(key=_length)
            size = self.size
            for start in range(0, len(window), size):
                yield window[start : start + size]

    def report(
        self, size: int, seconds: Mapping[str, float], *, out_of_memory: int | None = None
    ) -> None:
        """Learn from a batch that has run.

        Args:
            size: How many inputs it held.
            seconds: How long its stages took; the model's counts.
            out_of_memory: The smallest batch that did not fit into memory, or None.
        """
        if out_of_memory is not None:
            self.shrink_below(out_of_memory)
        elif self._search is not None:
            self._search.learn(size, seconds.get("inference") or seconds.get("explain", 0.0))
            self._resize()

    def shrink_below(self, size: int) -> None:
        """Make batches of half of what did not fit."""
        self._limit = max(1, min(self._limit, size // 2))
        self._resize()


class _Search:
    """Finds the size with the best rate by doubling."""

    def __init__(self) -> None:
        self.size = 1
        self._best_size = 1
        self._best_rate = 0.0
        self._rate = 0.0
        self._seen = 0
        self._settled = False

    def learn(self, size: int, seconds: float) -> None:
        if self._settled or size != self.size:
            return
        self._seen += 1
        if self._seen > 1:  # the first of its size warms up
            self._rate = max(self._rate, size / max(seconds, 1e-9))
        if self._seen > SAMPLES:
            self._decide(size)
            self._seen, self._rate = 0, 0.0

    def _decide(self, size: int) -> None:
        """Double as long as it pays; else stay with the best."""
        if self._rate > self._best_rate * WORTH_IT:
            self._best_rate, self._best_size = self._rate, size
            self.size = min(size * 2, LARGEST)
            self._settled = size == LARGEST
        else:
            self.size, self._settled = self._best_size, True


@dataclass(slots=True, eq=False)
class Call:
    """A batch that a worker is to answer by one call of the handler.

    Attributes:
        rows: The requests, read; each knows its place in the run.
        alone: Run it with nothing beside it in its worker: one like it has ended a worker.
        number: Its number among those that the worker was given.
    """

    rows: list[Row]
    alone: bool = False
    number: int = -1


def is_waiting() -> bool:
    """Whether a thread still waits for inputs that nobody wants any more.

    Python cannot be ended in its own way then: it aborts where standard input is in use.
    """
    return any(thread.name == _THREAD for thread in threading.enumerate())


class Parcel:
    """Some batches that travel together.

    Args:
        calls: Those with something to answer.
        failed: What could not be read.
        seconds: How long reading took.
        last: The largest place in the run among them.
        size: How many bytes their inputs said they hold.
    """

    __slots__ = ("calls", "failed", "last", "seconds", "size")

    def __init__(
        self, calls: list[Call], failed: list[Outcome], *, seconds: float, last: int, size: int
    ) -> None:
        self.calls = calls
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
        self._per_call = SECONDS
        self.exhausted = False
        self.size = 1
        self._thread = threading.Thread(target=self._work, name=_THREAD, daemon=True)
        self._thread.start()

    def learn(self, seconds: float, batches: int) -> None:
        """Take note of how long some batches took, on average; each counts for a quarter."""
        self._per_call += (seconds + CALL_SECONDS - self._per_call) * (1 - 0.75**batches)
        self.size = max(1, min(MOST_CALLS, int(SECONDS / self._per_call)))

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
    calls: list[Call] = []
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
            calls.append(Call(rows))
    return Parcel(calls, failed, seconds=time.perf_counter() - start, last=last, size=size)


def _length(numbered: tuple[int, Input]) -> int:
    return numbered[1].size or 0
