"""Requests that wait: one queue a model version, in the order of arrival."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from mar_serve.errors import not_run
from mar_serve.streams import Stream

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from mar_core import Reply, Request, Running

__all__ = ["Job", "Queue"]


class Job:
    """One request on its way through a model.

    Args:
        request: What the worker gets.
        loop: The event loop: who asks for the running one makes a call of the system.
        explain: Whether it asks for an explanation: those are never in a batch with others.
        deadline: When nobody wants the answer any more, by the monotonic clock.

    Attributes:
        future: Becomes the reply; a stream, when the answer comes in pieces; None when the client
            has gone.
        arrived: When it came, by the monotonic clock.
        begun: When it was given to a worker, likewise; 0.0 before.
        stream: The pieces of its answer; None while there are none.
        queue: Where it waits; None when it does not.
        call: What it was last given to a worker with; None before.
        losses: How many workers died that held it and had not begun it.
        suspected: Whether a worker was killed while it ran nothing but this.
        stages: How long each stage of its batch took, where it is traced.
        batch_size: How many requests its batch held, likewise.
    """

    __slots__ = (
        "arrived",
        "batch_size",
        "begun",
        "call",
        "deadline",
        "explain",
        "future",
        "losses",
        "queue",
        "request",
        "stages",
        "stream",
        "suspected",
    )

    def __init__(
        self,
        request: Request,
        loop: asyncio.AbstractEventLoop,
        *,
        explain: bool = False,
        deadline: float | None = None,
    ) -> None:
        self.request = request
        self.explain = explain
        self.deadline = deadline
        self.future: asyncio.Future[Reply | Stream | None] = loop.create_future()
        self.arrived = time.monotonic()
        self.begun = 0.0
        self.stream: Stream | None = None
        self.queue: Queue | None = None
        self.call: Running | None = None
        self.losses = 0
        self.suspected = False
        self.stages: dict[str, float] | None = None
        self.batch_size = 0

    @property
    def over(self) -> bool:
        """Whether it is answered, or nobody waits for it."""
        return self.future.done() if self.stream is None else self.stream.over

    def answer(self, reply: Reply) -> None:
        """Give it its answer."""
        self._end(reply)

    def is_late(self, now: float) -> bool:
        """Whether its deadline has passed."""
        return self.deadline is not None and self.deadline < now

    def ends_late(self) -> bool:
        """Fail it if its deadline has passed before it was run; whether it has."""
        late = self.deadline is not None and self.is_late(time.monotonic())
        if late:
            self.fail(not_run())
        return late

    def forget(self) -> None:
        """Its client has gone: it need not be run."""
        self._call_back()
        self._end(None)

    def fail(self, error: Exception) -> None:
        """Give it an error in place of an answer."""
        self._call_back()
        if self.stream is not None:
            self.stream.end(None)
        elif not self.future.done():
            self._leave()
            self.future.set_exception(error)

    def part(self, piece: bytes) -> None:
        """A piece of its answer."""
        if self.stream is None and not self.future.done():
            self.stream = Stream()
            self.future.set_result(self.stream)
        if self.stream is not None and not self.stream.over:
            self.stream.put(piece)

    def _call_back(self) -> None:
        """Where it has been given to a worker and has not begun there, it is not run."""
        if self.call is not None and not self.over:
            self.call.forget(self.request)

    def _end(self, reply: Reply | None) -> None:
        if self.stream is not None:
            self.stream.end(reply)
        elif not self.future.done():
            self._leave()
            self.future.set_result(reply)

    def _leave(self) -> None:
        """Where it waits, it does no longer; the queue drops it when it comes by."""
        if self.queue is not None:
            self.queue.gone += 1
            self.queue = None


class Queue:
    """Jobs in the order of arrival, and batches that have to be run once more.

    Args:
        size: How many jobs may wait.

    Attributes:
        size: The same.
        gone: How many of the jobs in it are over.
        again: Batches of a worker that died: each is run as it is, before anything new. The flag
            says whether it has to be alone in its worker.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.again: deque[tuple[list[Job], bool]] = deque()
        self._jobs: deque[Job] = deque()
        self.gone = 0

    def put(self, job: Job) -> bool:
        """Take a job in.

        Returns:
            False when the queue is full.
        """
        if len(self._jobs) - self.gone >= self.size:
            return False
        self._jobs.append(job)
        job.queue = self
        return True

    def take(self, most: int) -> list[Job]:
        """The oldest jobs that may be in one batch, at most so many."""
        taken: list[Job] = []
        while len(taken) < most and (job := self.oldest()) is not None:
            if taken and job.explain != taken[0].explain:
                break
            job.queue = None
            taken.append(self._jobs.popleft())
        return taken

    def oldest(self) -> Job | None:
        """The job that has waited longest, of those that somebody waits for."""
        jobs = self._jobs
        while jobs and (jobs[0].over or jobs[0].ends_late()):
            jobs.popleft()
            self.gone -= 1
        return jobs[0] if jobs else None

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        again = sum(len(jobs) for jobs, _ in self.again) if self.again else 0
        return len(self._jobs) - self.gone + again

    def jobs(self) -> Iterator[Job]:
        """The jobs that have not been run yet."""
        return iter(self._jobs)

    def empty(self) -> list[Job]:
        """Take everything out."""
        jobs = [job for job in self._jobs if not job.over]
        jobs += [job for batch, _ in self.again for job in batch if not job.over]
        for job in jobs:
            job.queue = None
        self._jobs.clear()
        self.again.clear()
        self.gone = 0
        return jobs
