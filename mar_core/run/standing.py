"""Worker processes that stay from one call to the next, for engines that spread a run."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

from mar_core.run.batching import Batcher
from mar_core.run.cores import cores
from mar_core.run.pool import WorkerPool
from mar_core.run.types import RunOptions, RunSummary
from mar_core.run.wire import Setup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mar_core.predictor import Recipe
    from mar_core.run.batching import NumberedBatch
    from mar_core.run.types import Input, Outcome

__all__ = ["LocalWorkers"]


class LocalWorkers:
    """An archive loaded in worker processes of this machine, asked as often as one likes.

    For engines that spread a run over machines: each machine answers its share with what
    ``mar run --workers`` uses, so a handler that hangs, or takes its process down, costs the same
    row everywhere. Close it at the end.

    Args:
        recipe: What to load, and how.
        options: ``batch_size``, ``timeout``, ``explain`` and ``output_dir`` count.
        count: How many processes.

    Attributes:
        summary: The batches that ran, and the seconds of their stages, added up.
    """

    def __init__(self, recipe: Recipe, options: RunOptions, *, count: int = 1) -> None:
        self.summary = RunSummary(model="")
        self._asked = options.batch_size
        self._waiting = _Waiting()
        self._pool = _StandingPool(
            Setup(recipe=recipe, explain=options.explain, output_dir=options.output_dir),
            count=count,
            threads=max(1, cores() // count),
            timeout=options.timeout,
            summary=self.summary,
        )
        self._groups = self._pool.run(self._batcher)

    def run(self, inputs: Sequence[Input]) -> list[Outcome]:
        """Answer inputs.

        Returns:
            What became of each, in order; ``index`` goes on counting from call to call.

        Raises:
            MarError: The archive cannot be loaded, or its workers die again and again. There is no
                use in asking once more.
        """
        self._waiting.extend(inputs)
        outcomes: list[Outcome] = []
        while len(outcomes) < len(inputs):
            outcomes += next(self._groups)
        return sorted(outcomes, key=lambda outcome: outcome.index)

    def close(self) -> None:
        """Let the handlers clean up, and end the processes."""
        self._pool.open = False
        for _ in self._groups:
            pass

    def _batcher(self, own: int, *, by_length: bool = False) -> Batcher:
        return _Refilled(self._waiting, size=self._asked or own, by_length=by_length)


class _StandingPool(WorkerPool):
    """A pool for which no work now is not the end.

    Attributes:
        open: Whether there may be more.
    """

    open = True

    def _next(self, batches: Iterator[NumberedBatch]) -> NumberedBatch | None:
        batch = super()._next(batches)
        self._exhausted = False
        return batch

    def _finished(self) -> bool:
        return not self.open


class _Waiting(deque["Input"]):
    """Inputs as an iterator that ends for now, and goes on when there are more."""

    def __iter__(self) -> Iterator[Input]:
        return self

    def __next__(self) -> Input:
        if not self:
            raise StopIteration
        return self.popleft()


class _Refilled(Batcher):
    """Batches of what is waiting."""

    def __init__(
        self, inputs: Iterable[Input], *, size: int | Literal["auto"], by_length: bool
    ) -> None:
        super().__init__(inputs, size=size, by_length=by_length)
        self._now = super().__iter__()

    def __iter__(self) -> Iterator[NumberedBatch]:
        return self

    def __next__(self) -> NumberedBatch:
        batch = next(self._now, None)
        if batch is None:
            self._now = super().__iter__()
            return next(self._now)
        return batch
