"""Many worker processes: who gets which batch, and what becomes of one whose worker dies."""

from __future__ import annotations

import contextlib
import pickle
import time
from collections import deque
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from mar_core.errors import HandlerError
from mar_core.runtime.batching import Batcher
from mar_core.runtime.cores import cores
from mar_core.runtime.deaths import Death, pieces
from mar_core.runtime.process import WorkerProcess
from mar_core.runtime.wire import Done, Ready, Refused, Setup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from mar_core.records import Input, Outcome, RunOptions, RunSummary
    from mar_core.runtime import Recipe
    from mar_core.runtime.batching import NumberedBatch

__all__ = ["WorkerPool"]

# Batches that a worker holds: the one that it runs, and the next.
GIVEN = 2
MOST_DEATHS = 20
LOADING_SECONDS = 600.0
TICK = 0.1
_GONE = (EOFError, OSError, pickle.UnpicklingError)


class WorkerPool:
    """Runs batches in worker processes, and outlives every one of them.

    Use it as a context manager; the workers end with it.

    Args:
        recipe: What to load, and how.
        options: ``batch_size``, ``timeout``, ``explain`` and ``output_dir`` count.
        count: How many workers.
        summary: Where to count batches and the seconds of their stages.
    """

    def __init__(
        self,
        recipe: Recipe,
        options: RunOptions,
        *,
        count: int,
        summary: RunSummary,
    ) -> None:
        self._setup = Setup(recipe=recipe, explain=options.explain, output_dir=options.output_dir)
        self._size = options.batch_size
        self._threads = max(1, cores() // count)
        self._timeout = options.timeout
        self._summary = summary
        self._workers = [self._start() for _ in range(count)]
        self._again: deque[NumberedBatch] = deque()
        self._newest = 0
        self._exhausted = False
        self._deaths = 0
        self._batcher: Batcher | None = None

    def run(self, inputs: Iterable[Input]) -> Iterator[list[Outcome]]:
        """Run inputs in batches; the outcomes of each batch as it ends.

        It may be called again when all have come. Their places count on.

        Args:
            inputs: The inputs.

        Raises:
            MarError: The archive cannot be loaded, or its workers die again and again.
        """
        self._exhausted = False
        batches: Iterator[NumberedBatch] | None = None
        while not self._finished():
            if batches is None and (batcher := self._find_batcher()):
                batches = batcher.batches(inputs)
            if batches is not None:
                self._feed(batches)
            for worker in self._speaking():
                yield self._hear(worker)
            for worker in self._late():
                yield self._lose(worker, late=True)

    def close(self) -> None:
        """Let the handlers clean up, and end the workers."""
        for worker in self._workers:
            worker.ask_to_end()
        for worker in self._workers:
            worker.wait()
        self._kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self.close()
        else:
            self._kill()

    def _kill(self) -> None:
        for worker in self._workers:
            worker.kill()

    def _find_batcher(self) -> Batcher | None:
        """What makes the batches, as soon as a worker has said how the archive wants them."""
        if self._batcher is None:
            for ready in (worker.ready for worker in self._workers if worker.ready):
                size = self._size or ready.batch_size
                self._batcher = Batcher(size=size, by_length=ready.by_length)
                break
        return self._batcher

    def _start(self) -> WorkerProcess:
        return WorkerProcess(self._setup, threads=self._threads)

    def _finished(self) -> bool:
        waiting = self._again or any(worker.jobs for worker in self._workers)
        return self._exhausted and not waiting

    def _ready(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers if worker.ready]

    def _feed(self, batches: Iterator[NumberedBatch]) -> None:
        """Give every worker enough to do."""
        for worker in self._ready():
            while len(worker.jobs) < GIVEN:
                batch = self._next(batches)
                if batch is None:
                    return
                with contextlib.suppress(OSError):  # it is gone, and that will be heard
                    worker.give(batch)

    def _next(self, batches: Iterator[NumberedBatch]) -> NumberedBatch | None:
        if self._again:
            return self._again.popleft()
        if self._exhausted or self._too_far_ahead():
            return None
        batch = next(batches, None)
        if batch is None:
            self._exhausted = True
        else:
            self._newest = max(self._newest, *(index for index, _ in batch))
        return batch

    def _too_far_ahead(self) -> bool:
        """Whether results that must wait for an older one would pile up."""
        held = [index for w in self._workers for job in w.jobs for index, _ in job]
        held += [index for job in self._again for index, _ in job]
        reach = self._batcher.reach if self._batcher is not None else 1
        return bool(held) and self._newest - min(held) > reach * (2 + 2 * len(self._workers))

    def _speaking(self) -> list[WorkerProcess]:
        """The workers that have sent something, or have ended."""
        by_connection: dict[Any, WorkerProcess] = {w.connection: w for w in self._workers}
        heard = [by_connection[found] for found in wait(list(by_connection), TICK)]
        # What a dead worker forked may hold its socket open, so that no end of it is heard.
        return heard or [worker for worker in self._workers if not worker.alive]

    def _late(self) -> list[WorkerProcess]:
        now = time.monotonic()
        return [worker for worker in self._workers if now - worker.since > self._limit(worker)]

    def _limit(self, worker: WorkerProcess) -> float:
        if not worker.ready:
            return max(LOADING_SECONDS, self._timeout or 0)
        return self._timeout if self._timeout and worker.jobs else float("inf")

    def _hear(self, worker: WorkerProcess) -> list[Outcome]:
        try:
            message = worker.take()
        except _GONE:
            return self._lose(worker)
        if isinstance(message, Refused):
            raise message.error
        if isinstance(message, Ready):
            return []
        self._deaths = 0
        self._count(message)
        return message.outcomes

    def _count(self, done: Done) -> None:
        self._summary.batches += 1
        for stage, seconds in done.seconds.items():
            before = self._summary.stage_seconds.get(stage, 0.0)
            self._summary.stage_seconds[stage] = before + seconds
        if self._batcher is not None:
            self._batcher.report(
                len(done.outcomes),
                done.seconds.get("inference") or done.seconds.get("explain", 0.0),
                out_of_memory=done.out_of_memory,
            )

    def _lose(self, worker: WorkerProcess, *, late: bool = False) -> list[Outcome]:
        """Replace a worker that died or hangs; what it ran is tried again in pieces, or failed."""
        death = Death(code=worker.kill(), seconds=self._limit(worker) if late else None)
        self._deaths += 1
        if not worker.ready or self._deaths > MOST_DEATHS:
            raise self._give_up(worker, death)
        jobs = list(worker.jobs)
        self._workers[self._workers.index(worker)] = self._start()
        if not jobs:
            return []
        self._again.extendleft(reversed(jobs[1:]))
        guilty = jobs[0]
        if len(guilty) == 1:
            return [death.outcome(guilty[0])]
        if death.may_be_memory and self._batcher is not None:
            self._batcher.shrink_below(len(guilty))
        self._again.extendleft(reversed(pieces(guilty)))
        return []

    def _give_up(self, worker: WorkerProcess, death: Death) -> HandlerError:
        if not worker.ready:
            return HandlerError(f"The worker {death} while it loaded the archive.", stage="load")
        return HandlerError(
            f"The worker died {self._deaths} times in a row; the last time it {death}.",
            stage="worker",
            hint="Look for the cause in the handler, then go on with --resume.",
        )
