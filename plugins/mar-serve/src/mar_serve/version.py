"""One version of a model: its queue, its workers, and who gets what when."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from mar_serve.errors import no_worker, timed_out
from mar_serve.queues import Job, Queue
from mar_serve.scaling import Scaler
from mar_serve.slots import Slot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core import Prepared, Request
    from mar_serve.server import Server
    from mar_serve.settings import ModelSettings

__all__ = ["ModelVersion"]

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
        from_start: Whether it was there when the server started.

    Attributes:
        queue: The requests that wait.
        slots: The workers' places.
        stats: What is counted for it.
        last_size: How many requests the latest batch had.
        threads: Threads of each worker's libraries, or None.
        wanted: How many workers there should be now.
    """

    def __init__(
        self,
        server: Server,
        name: str,
        version: str,
        *,
        url: str,
        prepared: Prepared,
        settings: ModelSettings,
        from_start: bool = False,
    ) -> None:
        self.server = server
        self.name = name
        self.version = version
        self.url = url
        self.prepared = prepared
        self.settings = settings
        self.from_start = from_start
        self.queue = Queue(settings.queue_size)
        self.slots: list[Slot] = []
        self.stats = server.telemetry.model(name, version)
        self.last_size = 1
        self.wanted = 0
        self.scaler = Scaler(self)
        self.label = name if version == "" else f"{name} {version}"
        self._numbers = 0
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def threads(self) -> int | None:
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
    def explains(self) -> bool:
        """Whether its handler explains, as far as a worker has said."""
        workers = [slot.worker for slot in self.slots if slot.worker is not None]
        return bool(workers) and workers[0].ready.explains

    def job(self, request: Request, *, explain: bool = False) -> Job:
        """A request of this version, with the deadline that its configuration gives it."""
        timeout = self.settings.client_timeout
        deadline = time.monotonic() + timeout / 1000 if timeout else None
        return Job(request, explain=explain, deadline=deadline)

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
            raise no_worker(self.name, asked)
        if settings.use_job_ticket and self.queue.waiting >= self._idle():
            raise no_worker(self.name, asked)
        if not self._any_hope() or not self.queue.put(job):
            raise no_worker(self.name, asked)
        self.schedule()

    def schedule(self) -> None:
        """Give out what waits, as soon as everything that has arrived is in the queue."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._give_out)

    def add(self) -> Slot:
        """Start one more worker."""
        self._numbers += 1
        slot = Slot(
            self, self.server.next_worker(), self.server.device_for(self, self._numbers - 1)
        )
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
        while (self.queue.waiting or self._busy()) and time.monotonic() < until:
            if not self._any_hope():
                break
            await asyncio.sleep(0.02)
        self._closed = True
        for job in self.queue.empty():
            job.fail(no_worker(self.name, None))
        left = max(0.1, until - time.monotonic())
        slots, self.slots = self.slots, []
        await asyncio.gather(*(slot.close(left) for slot in slots), return_exceptions=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=left)

    def tick(self, now: float) -> None:
        """Look after deadlines, workers that hang, and the number of workers."""
        for job in list(self.queue.late(now)):
            job.fail(timed_out("The request was not run before its deadline."))
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

    def _any_hope(self) -> bool:
        """Whether a worker is there or will be."""
        return any(slot.state != "failed" for slot in self.slots)

    def _least_used(self) -> Slot:
        return min(self.slots, key=lambda slot: (slot.state == "ready", slot.used))

    def _give_out(self) -> None:
        self._scheduled = False
        if not self._any_hope():
            for job in self.queue.empty():
                job.fail(no_worker(self.name, None))
            return
        while self._give_again() or self._give_new():
            pass

    def _free(self, *, idle: bool = False) -> Slot | None:
        """The worker that has least to do and can take more."""
        best = None
        for slot in self.slots:
            if slot.state != "ready" or slot.busy >= (1 if idle else slot.depth) or slot.alone:
                continue
            if not slot.busy:
                return slot
            if best is None or slot.busy < best.busy:
                best = slot
        return best

    def _give_again(self) -> bool:
        """Give out a batch that a worker's death has left."""
        again = self.queue.again
        if not again:
            return False
        jobs = [job for job in again[0][0] if not job.over]
        alone = again[0][1]
        if jobs:
            slot = self._free(idle=alone)
            if slot is None:
                return False
            slot.give(jobs, alone=alone)
        again.popleft()
        return True

    def _give_new(self) -> bool:
        """Give out the next batch, if it is worth giving now."""
        if self.queue.again:  # those come first
            return False
        oldest = self.queue.oldest()
        slot = self._free() if oldest is not None else None
        if oldest is None or slot is None:
            return False
        wait = self._wait(oldest, slot)
        if wait > 0:
            self._wake_in(wait)
            return False
        jobs = self.queue.take(self.settings.batch_size)
        if not jobs:
            return False
        slot.give(jobs)
        return True

    def _wait(self, oldest: Job, slot: Slot) -> float:
        """Seconds that waiting for a fuller batch is worth.

        A worker that idles takes what is there, unless the latest batch was larger: then those
        that it answered are about to ask again. One that is busy loses nothing by waiting.
        """
        size = self.settings.batch_size
        waiting = self.queue.waiting
        if waiting >= size:
            return 0.0
        delay = self.settings.max_batch_delay / 1000
        if not slot.busy:
            if waiting >= min(size, self.last_size):
                return 0.0
            delay = min(delay, slot.seconds)
        return oldest.arrived + delay - time.monotonic()

    def _wake_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.schedule)

    def workers(self) -> Iterator[tuple[Slot, int]]:
        """The workers that run, with their process ids."""
        for slot in self.slots:
            if slot.worker is not None:
                yield slot, slot.worker.pid
