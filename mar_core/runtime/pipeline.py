"""Batches through one handler in this process, its stages overlapping where it allows that."""

from __future__ import annotations

import contextlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from mar_core.runtime.cores import cores, keeping_threads, use_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mar_core.records import Outcome
    from mar_core.runtime.batch import Batch, BatchRunner
    from mar_core.runtime.batching import NumberedBatch

__all__ = ["Ran", "ahead", "in_turn", "overlapped"]

# Prepared batches that wait for the model: enough that it never waits, few enough for flat memory.
WAITING = 2
# That prepare at once; more would wait for each other.
MOST_THREADS = 8

Item = TypeVar("Item")
Result = TypeVar("Result")
# The outcomes of a batch, and how many seconds the model took for it.
Ran = tuple[list["Outcome"], float]


def in_turn(runner: BatchRunner, batches: Iterable[NumberedBatch]) -> Iterator[Ran]:
    """Run one batch after the other on this thread, the next one being read meanwhile."""
    with _pool("read", 1) as pool:
        for batch in ahead(pool, runner.read, batches, depth=WAITING):
            batch.preprocess()
            batch.inference()
            yield batch.outcomes(), _model_seconds(batch)


def overlapped(runner: BatchRunner, batches: Iterable[NumberedBatch]) -> Iterator[Ran]:
    """Read and prepare batches while the model works on earlier ones; give results in order.

    Each stage waits for the one before it in a pool of its own; a batch enters all pools at once,
    so that every pool works in order and none can wait for what was never started.
    """
    threads = min(cores(), MOST_THREADS)
    with (
        keeping_threads() as usual,
        # Many that prepare must not each start a team of threads; the model gets the usual one.
        _pool("preprocess", threads, torch_threads=1) as prepare,
        _pool("inference", 1, torch_threads=usual) as infer,
        # Explanations run in the last stage, and are the model's work.
        _pool("postprocess", 1, torch_threads=usual if runner.explain else 1) as finish,
    ):
        pending: deque[Future[Ran]] = deque()
        for numbered in batches:
            prepared = prepare.submit(_prepare, runner, numbered)
            inferred = infer.submit(_infer, prepared)
            pending.append(finish.submit(_finish, inferred))
            if len(pending) > threads + WAITING:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def ahead(
    pool: ThreadPoolExecutor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    depth: int,
) -> Iterator[Result]:
    """``map`` in a pool, in order, at most ``depth`` results ahead of who takes them."""
    pending: deque[Future[Result]] = deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) > depth:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _model_seconds(batch: Batch) -> float:
    return batch.seconds.get("inference") or batch.seconds.get("explain", 0.0)


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
    return batch.outcomes(), _model_seconds(batch)


@contextlib.contextmanager
def _pool(
    name: str, threads: int, *, torch_threads: int | None = None
) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(
        threads,
        thread_name_prefix=f"mar-{name}",
        initializer=use_threads,
        initargs=(torch_threads,),
    )
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
