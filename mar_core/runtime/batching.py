"""From a stream of inputs to batches: how large, and of which neighbours."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mar_core.records import Outcome
from mar_core.runtime.failures import failure_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mar_core.records import Input

__all__ = ["Batcher", "NumberedBatch", "Row", "outcomes_in_order", "read"]

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

    def report(self, size: int, seconds: float, *, out_of_memory: int | None = None) -> None:
        """Learn from a batch that has run.

        Args:
            size: How many inputs it held.
            seconds: How long the model took.
            out_of_memory: The smallest batch that did not fit into memory, or None.
        """
        if out_of_memory is not None:
            self.shrink_below(out_of_memory)
        elif self._search is not None:
            self._search.learn(size, seconds)
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


def outcomes_in_order(groups: Iterable[Iterable[Outcome]]) -> Iterator[Outcome]:
    """Outcomes by their place in the run, each as soon as all before it have come."""
    waiting: dict[int, Outcome] = {}
    following = 0
    for group in groups:
        for outcome in group:
            waiting[outcome.index] = outcome
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _length(numbered: tuple[int, Input]) -> int:
    return numbered[1].size or 0
