"""Continuous batching: a worker answers step by step, and requests join and leave in between.

The handler keeps a state for each request, by its id, and says of each result whether it is the
last (``context.stopping_criteria``). What is not in a step any more has ended, for whatever reason:
that is TorchServe's contract. So a step always holds every request that goes on, and one that fails
is not tried in pieces. Who has just joined is suspected first.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from mar_core import WorkerDied
from mar_serve.errors import internal
from mar_serve.slots import Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mar_core import AsyncWorker, Reply, Request
    from mar_serve.queues import Job
    from mar_serve.slots import Owner

__all__ = ["StepSlot"]

logger = logging.getLogger("mar_serve.workers")

STREAM_NEXT = "ts_stream_next"
# A request that cannot be read never came to the handler, and says nothing of the others.
UNREAD = "read"
LOOK = 0.02


class StepSlot(Slot):
    """A place for a worker that is asked step by step.

    ``busy`` counts the requests that go on or are about to join.
    """

    def __init__(self, version: Owner, number: int, gpu: int | None) -> None:
        super().__init__(version, number, gpu)
        self._going: list[Job] = []
        self._joining: deque[Job] = deque()
        # Each of these joins with no other newcomer: one of them has made a step fail.
        self._suspects: deque[Job] = deque()
        self._renamed: dict[Job, Request] = {}
        self._stepping: asyncio.Task[None] | None = None
        self._draining = False

    @property
    def depth(self) -> int:
        """How many requests may be in it at a time."""
        return 0 if self.alone or self._draining else self.version.settings.batch_size

    @property
    def places(self) -> int:
        """How many requests may join now."""
        return max(0, self.depth - self.busy)

    def jobs(self) -> Iterator[Job]:
        """The requests that it has not answered."""
        yield from [*self._going, *self._suspects, *self._joining]

    def give(self, jobs: list[Job], *, alone: bool = False) -> None:
        """Let requests join at the next step."""
        now = time.monotonic()
        if not self.busy:
            self.since = now
        self.alone = alone
        self.used = now
        for job in jobs:
            job.begun = job.begun or now
        self._joining.extend(jobs)
        self._count_busy()
        if self._stepping is None:
            self._stepping = asyncio.create_task(self._step_on())
            self._calls.add(self._stepping)
            self._stepping.add_done_callback(self._calls.discard)

    async def _replace(self) -> None:
        """Let those that go on come to their end in the worker that knows them, then replace it."""
        self._draining = True
        try:
            while self.busy and self.worker is not None:  # noqa: ASYNC110 - no event
                await asyncio.sleep(LOOK)
            await super()._replace()
        finally:
            self._draining = False
            self.version.schedule()

    async def _step_on(self) -> None:
        """Ask the worker step by step, for as long as anything goes on."""
        wary = False
        try:
            while self._going or self._joining or self._suspects:
                newcomers = [] if wary and self._going else self._newcomers()
                going = [job for job in self._going if not job.over]
                self._leave([job for job in self._going if job.over])
                jobs = going + newcomers
                wary = bool(jobs) and not await self._step(jobs, newcomers)
                self._count_busy()
                self.since = self.used = time.monotonic()
                self.version.schedule()
        finally:
            self._stepping = None
            self.alone = False
            self._count_busy()
            self.version.schedule()

    def _newcomers(self) -> list[Job]:
        """Those that join at the next step."""
        while self._suspects:
            job = self._suspects.popleft()
            if not job.over:
                return [job]
            self._leave([job])
        free = self.version.settings.batch_size - len(self._going)
        found: list[Job] = []
        while self._joining and len(found) < free:
            job = self._joining.popleft()
            if job.over:
                self._leave([job])
            else:
                found.append(job)
        return found

    async def _step(self, jobs: list[Job], newcomers: list[Job]) -> bool:
        """One step; whether nothing went wrong with it."""
        self._going = jobs
        worker, begun = self.worker, time.monotonic()
        try:
            if worker is None:
                self._begin_again(jobs)
                return True
            requests = [self._renamed.get(job, job.request) for job in jobs]
            answers = await worker.run(requests, on_part=_parts_of(jobs))
        except WorkerDied as died:
            self._lost(worker, jobs, died)
            return True
        except Exception:
            logger.exception("%s: a step could not be run", self)
            self._end([(job, None) for job in jobs])
            return True
        self.seconds = time.monotonic() - begun
        self.version.stats.batch(len(jobs), self.seconds, answers.seconds)
        self._note(jobs, answers.seconds)
        answered = list(zip(jobs, answers, strict=True))
        self._end([pair for pair in answered if _is_unread(pair[1])])
        rest = [pair for pair in answered if not _is_unread(pair[1])]
        if rest and all(reply.failure is not None for _, reply in rest):
            self._failed(rest, [job for job in newcomers if job in self._going])
            return False
        self._take(rest)
        return True

    def _take(self, answered: list[tuple[Job, Reply]]) -> None:
        """Hand the results of a step on; those that are not done stay."""
        ended: list[tuple[Job, Reply | None]] = []
        for job, reply in answered:
            if reply.failure is None and reply.headers.get(STREAM_NEXT) == "true":
                job.part(reply.body)
            else:
                ended.append((job, reply))
        self._end(ended)

    def _failed(self, answered: list[tuple[Job, Reply]], newcomers: list[Job]) -> None:
        """A step failed: those that have just joined leave, and are tried one at a time."""
        if not newcomers:
            self._end(list(answered))
        elif len(newcomers) == 1:
            self._end([(job, reply) for job, reply in answered if job is newcomers[0]])
        else:
            self._going = [job for job in self._going if job not in newcomers]
            for job in newcomers:
                # The handler may have begun to keep a state under the id that it had.
                self._renamed[job] = job.request._replace(id=f"{job.request.id}~")
            self._suspects.extend(newcomers)

    def _end(self, ended: list[tuple[Job, Reply | None]]) -> None:
        """Answer requests that are done, or have no answer."""
        for job, reply in ended:
            if reply is None:
                job.fail(internal("Worker died."))
            else:
                job.answer(reply)
        self._leave([job for job, _ in ended])
        self.served += len(ended)
        self.known = True
        self._look_worn()

    def _leave(self, jobs: list[Job]) -> None:
        """These are not in the next step."""
        self._going = [job for job in self._going if job not in jobs]
        for job in jobs:
            self._renamed.pop(job, None)
        self.version.dispatch.done(jobs)

    def _lost(self, worker: AsyncWorker | None, jobs: list[Job], died: WorkerDied) -> None:
        """The worker died, and with it the state of every request that went on."""
        if self.worker is worker:
            self.worker, self.state = None, "starting"
        self._going = []
        self._renamed.clear()
        self._died(jobs, died)
        self._begin_again([])

    def _begin_again(self, jobs: list[Job]) -> None:
        """Give back what has not begun, and end what cannot begin again."""
        self._going = []
        for job in jobs:
            if job.stream is not None:
                job.fail(internal("Worker died."))
        waiting = [job for job in jobs if job.stream is None]
        waiting += [*self._suspects, *self._joining]
        self._suspects.clear()
        self._joining.clear()
        if waiting:
            self.version.dispatch.again([waiting], alone=False)

    def _count_busy(self) -> None:
        self.busy = len(self._going) + len(self._joining) + len(self._suspects)


def _is_unread(reply: Reply) -> bool:
    return reply.failure is not None and reply.failure.stage == UNREAD


def _parts_of(jobs: list[Job]) -> Callable[[int, bytes], None]:
    def part(row: int, piece: bytes) -> None:
        jobs[row].part(piece)

    return part
