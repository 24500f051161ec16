"""One version of a model: its queue, its workers, and who gets what when."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from mar_serve.dispatch import Dispatch
from mar_serve.errors import ServeError, no_worker, not_run, timed_out
from mar_serve.queues import Job
from mar_serve.scaling import Scaler
from mar_serve.sequences import with_sequence
from mar_serve.slots import Slot
from mar_serve.steps import StepSlot
from mar_serve.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core import Failure, Prepared, Reply, Request
    from mar_serve.parts import Host
    from mar_serve.queues import Queue
    from mar_serve.settings import ModelSettings
    from mar_serve.sources import Found

__all__ = ["ModelVersion"]

# How often refused requests are told of: one line for each would bury everything else.
TELLING_SECONDS = 10.0
NO_ANSWER = 500

logger = logging.getLogger("mar_serve.models")


class ModelVersion:
    """A version of a model at work.

    Args:
        server: Whose it is.
        name: What requests call the model.
        version: What they call the version.
        url: Where it came from, as management tells it.
        prepared: The archive, validated and unpacked.
        settings: Its numbers.

    Attributes:
        from_start: Whether it was there when the server started.
        dispatch: The requests that wait, and who gets them.
        listed: Whether clients see it among the models.
        found: Where its archive was found; None where that does not matter.
        ended: Whether it has been stopped, and nothing of it runs any more.
        slots: The workers' places.
        stats: What is counted for it.
        scaler: Adds and drops workers.
        label: What it is called in the log.
    """

    def __init__(
        self,
        server: Host,
        name: str,
        version: str,
        *,
        url: str,
        prepared: Prepared,
        settings: ModelSettings,
    ) -> None:
        self.server = server
        self.name = name
        self.version = version
        self.url = url
        self.prepared = prepared
        self.settings = settings
        self.from_start = False
        self.listed = True
        self.found: Found | None = None
        self.ended = False
        self.dispatch = Dispatch(self)
        self.slots: list[Slot] = []
        self.stats = server.telemetry.model(name, version)
        self.scaler = Scaler(self)
        self.label = name if version == "" else f"{name} {version}"
        self._loop = asyncio.get_running_loop()
        self._numbers = 0
        self._closed = False
        self._refused = 0
        self._told = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def threads(self) -> int:
        """A share of the cores for each worker."""
        return max(1, self.server.cores // max(1, self.settings.max_workers))

    @property
    def handler(self) -> str:
        """The handler as the manifest names it."""
        return self.prepared.manifest.handler or ""

    @property
    def live(self) -> int:
        """How many workers can answer."""
        return sum(slot.state == "ready" for slot in self.slots)

    @property
    def ready(self) -> bool:
        """Whether it has as many workers as it should."""
        return self.live >= self.settings.min_workers

    @property
    def can_answer(self) -> bool:
        """Whether requests are answered: by a worker that is there, or by one that they wake."""
        return self.live > 0 or self.ready

    @property
    def is_flooded(self) -> bool:
        """Whether a full batch waits for every worker, so that nobody misses one given ahead."""
        return self.dispatch.waiting >= self.settings.batch_size * max(1, self.live)

    @property
    def has_hope(self) -> bool:
        """Whether a worker is there or will be."""
        for slot in self.slots:  # noqa: SIM110 - asked for each request: any() takes three times as long
            if slot.state != "failed":
                return True
        return False

    @property
    def queue(self) -> Queue:
        """The requests that wait."""
        return self.dispatch.queue

    @property
    def explains(self) -> bool:
        """Whether its handler explains, as far as a worker has said."""
        workers = [slot.worker for slot in self.slots if slot.worker is not None]
        return bool(workers) and workers[0].ready.explains

    def job(self, request: Request, *, explain: bool = False) -> Job:
        """A request of this version, with the deadline that its configuration gives it."""
        timeout = self.settings.client_timeout
        deadline = time.monotonic() + timeout / 1000 if timeout else None
        if self.settings.sequence_batching:
            headers = dict(request.headers)
            with_sequence(headers)
            request = request._replace(headers=headers)
        return Job(request, self._loop, explain=explain, deadline=deadline)

    def submit(self, job: Job, *, asked: str | None = None) -> None:
        """Take a request in.

        Args:
            job: The request.
            asked: The version that the client named, for the text of an error.

        Raises:
            ServeError: The queue is full, or nobody will ever answer.
        """
        settings = self.settings
        if self._closed or not (self.slots or self.scaler.wake()):
            raise self._refusal(asked)
        if settings.use_job_ticket and self.dispatch.waiting >= self._idle():
            raise self._refusal(asked)
        if not self.has_hope or not self.dispatch.put(job):
            raise self._refusal(asked)

    async def ask(self, job: Job, *, asked: str | None) -> Reply | Stream | None:
        """Have a request run, and count it.

        Args:
            job: The request.
            asked: The version that the client named.

        Returns:
            The reply, or its pieces, of which `answered` has to be told when they have ended; None
            when the client has gone.

        Raises:
            ServeError: It gets no answer.
        """
        named = asked is not None
        try:
            self.submit(job, asked=asked)
            outcome = await job.future
        except ServeError as error:
            seconds = time.monotonic() - job.arrived
            self.stats.answered(error.status, seconds, None, named=named)
            self._trace(job, error.status)
            raise
        if isinstance(outcome, Stream) or outcome is None:
            return outcome
        self.answered(job, outcome, named=named)
        if job.is_late(time.monotonic()):
            raise timed_out("The answer came after its deadline.")
        return outcome

    def answered(self, job: Job, reply: Reply | None, *, named: bool) -> None:
        """Count and trace a request that a worker has answered, and write down why it failed.

        Args:
            job: The request.
            reply: The answer; None where its pieces broke off.
            named: Whether the client named the version.
        """
        seconds = time.monotonic() - job.arrived
        status = NO_ANSWER if reply is None else reply.status
        self.stats.answered(status, seconds, job.begun - job.arrived, named=named)
        self._trace(job, status)
        if reply is not None and reply.failure is not None:
            self._log_failure(job.request.id, reply.failure)

    def _trace(self, job: Job, status: int) -> None:
        """Make the spans of a request that is over, where somebody wants them."""
        tracer = self.server.tracer
        if tracer is not None:
            tracer.record(self, job, status)

    def _log_failure(self, request_id: str, failure: Failure) -> None:
        """Write down why a request failed, which its client is not told."""
        trace = f"\n{failure.traceback}" if failure.traceback else ""
        logger.warning(
            "%s: request %s failed in %s: %s: %s%s",
            *(self, request_id, failure.stage, failure.type, failure.message, trace),
        )

    def _refusal(self, asked: str | None) -> ServeError:
        self._refused += 1
        return no_worker(self.name, asked)

    def schedule(self) -> None:
        """Give out what waits."""
        self.dispatch.schedule()

    def add(self) -> Slot:
        """Start one more worker."""
        self._numbers += 1
        kind = StepSlot if self.settings.continuous_batching else Slot
        slot = kind(self, self.server.next_worker(), self.server.gpu_for(self, self._numbers - 1))
        self.slots.append(slot)
        return slot

    def drop(self, slot: Slot, *, grace: float | None = None) -> None:
        """Let one worker finish and end."""
        self.slots.remove(slot)
        closing = slot.close() if grace is None else slot.close(grace)
        self._hold(asyncio.create_task(closing))

    async def scale(self, least: int, most: int) -> None:
        """Have so many workers, and wait until they are there.

        Raises:
            MarError: A worker cannot load the model.
        """
        self.settings.min_workers, self.settings.max_workers = least, most
        while len(self.slots) < least:
            self.add()
        while len(self.slots) > most:
            self.drop(self._least_used())
        await self.started()

    async def started(self) -> None:
        """Wait until every worker has come up.

        Raises:
            MarError: One cannot load the model.
        """
        waits = [slot.first for slot in self.slots]
        if waits:
            await asyncio.gather(*waits)

    async def stop(self, grace: float) -> None:
        """Answer what was taken, within so many seconds, and end the workers."""
        until = time.monotonic() + grace
        while (self.dispatch.waiting or self._busy()) and time.monotonic() < until:
            if not self.has_hope:
                break
            await asyncio.sleep(0.02)
        self._closed = True
        self.dispatch.refuse_all()
        left = max(0.1, until - time.monotonic())
        slots, self.slots = self.slots, []
        await asyncio.gather(*(slot.close(left) for slot in slots), return_exceptions=True)
        self.dispatch.refuse_all()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=left)
        self.prepared.close()
        self.ended = True

    def tick(self, now: float) -> None:
        """Look after deadlines, workers that hang, and the number of workers."""
        for job in list(self.dispatch.jobs()):
            if job.is_late(now) and not job.over:
                job.fail(not_run())
        for job in [job for slot in self.slots for job in slot.jobs()]:
            if job.is_late(now) and not job.over:
                job.fail(timed_out("The request was not answered before its deadline."))
        self.dispatch.tick(now)
        if self._refused and now - self._told > TELLING_SECONDS:
            logger.warning("%s: refused %s requests: nobody could take them", self, self._refused)
            self._refused, self._told = 0, now
        for slot in self.slots:
            slot.check(now)
        self.scaler.tick(now)

    def __str__(self) -> str:
        return self.label

    def _hold(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _busy(self) -> int:
        return sum(slot.busy for slot in self.slots)

    def _idle(self) -> int:
        return sum(slot.state == "ready" and not slot.busy for slot in self.slots)

    def _least_used(self) -> Slot:
        return min(self.slots, key=lambda slot: (slot.state == "ready", slot.used))

    def workers(self) -> Iterator[tuple[Slot, int]]:
        """The workers that run, with their process ids."""
        for slot in self.slots:
            if slot.worker is not None:
                yield slot, slot.worker.pid
