"""Batches through one handler in this process, its stages overlapping where it allows that."""

from __future__ import annotations

import functools
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from mar_core.runtime.machine import cores, keeping_threads, use_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Self

    from mar_core.records import Outcome
    from mar_core.runtime.batch import Batch, BatchRunner
    from mar_core.runtime.feed import NumberedBatch

__all__ = ["Ran", "Stages", "in_turn", "overlapped"]

# Prepared batches that wait for the model: enough that it never waits, few enough for flat memory.
WAITING = 2
# That prepare at once; more would wait for each other.
MOST_THREADS = 8

Result = TypeVar("Result")
# The outcomes of a batch, and the seconds of its stages.
Ran = tuple[list["Outcome"], "Mapping[str, float]"]


def in_turn(runner: BatchRunner, batches: Iterable[NumberedBatch]) -> Iterator[Ran]:
    """Run one batch after the other on this thread, the next one being read meanwhile."""
    pool = _pool("read", 1)
    try:
        begun = (pool.submit(runner.read, one) for one in batches)
        for batch in _results(begun, depth=WAITING):
            batch.preprocess()
            batch.inference()
            yield batch.outcomes(), batch.seconds
    finally:
        _drop(pool)


def overlapped(runner: BatchRunner, batches: Iterable[NumberedBatch]) -> Iterator[Ran]:
    """Read and prepare batches while the model works on earlier ones; give results in order."""
    with keeping_threads() as usual, Stages(explain=runner.explain, torch_threads=usual) as stages:
        begun = (
            stages.submit(functools.partial(_prepare, runner, one), _finish) for one in batches
        )
        yield from _results(begun, depth=stages.depth - 1)


class Stages:
    """Three pools that batches go through in order, so that one is prepared while another is run.

    Each stage waits for the one before it in a pool of its own; a batch enters all pools at once,
    so that every pool works in order and none can wait for what was never started. As a context
    manager it drops, at the end, what has not begun.

    Args:
        explain: Explanations are asked for.
        torch_threads: How many threads PyTorch uses for the model; None leaves that to PyTorch.

    Attributes:
        depth: How many batches at once keep all pools busy.
    """

    def __init__(self, *, explain: bool, torch_threads: int | None) -> None:
        threads = min(cores(), MOST_THREADS)
        self.depth = threads + WAITING + 1
        # Many that prepare must not each start a team of threads; the model gets the usual one.
        self._preparing = _pool("preprocess", threads, torch_threads=1)
        self._inferring = _pool("inference", 1, torch_threads=torch_threads)
        # Explanations run in the last stage, and are the model's work.
        last = torch_threads if explain else 1
        self._finishing = _pool("postprocess", 1, torch_threads=last)

    def submit(
        self, prepare: Callable[[], Batch], finish: Callable[[Future[Batch]], Result]
    ) -> Future[Result]:
        """Let a batch take its way.

        Args:
            prepare: Makes the batch and runs its first stage.
            finish: Runs the last stage of the batch that it waits for.
        """
        prepared = self._preparing.submit(prepare)
        inferred = self._inferring.submit(_infer, prepared)
        return self._finishing.submit(finish, inferred)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for pool in (self._finishing, self._inferring, self._preparing):
            _drop(pool)


def _results(begun: Iterable[Future[Result]], *, depth: int) -> Iterator[Result]:
    """What is asked of pools, in order, while at most so many more are under way."""
    pending: deque[Future[Result]] = deque()
    for future in begun:
        pending.append(future)
        if len(pending) > depth:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _prepare(runner: BatchRunner, numbered: NumberedBatch) -> Batch:
    batch = runner.read(numbered)
    batch.preprocess()
    return batch


def _infer(prepared: Future[Batch]) -> Batch:
    batch = prepared.result()
    batch.inference()
    return batch


def _finish(inferred: Future[Batch]) -> Ran:
    batch = inferred.result()
    return batch.outcomes(), batch.seconds


def _pool(name: str, threads: int, *, torch_threads: int | None = None) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(
        threads,
        thread_name_prefix=f"mar-{name}",
        initializer=use_threads,
        initargs=(torch_threads,),
    )


def _drop(pool: ThreadPoolExecutor) -> None:
    pool.shutdown(wait=False, cancel_futures=True)
