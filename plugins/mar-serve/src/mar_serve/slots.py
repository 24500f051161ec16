"""One worker's place: started, fed, started again when it dies, replaced when it is worn."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import logging
import signal
import time
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mar_core import AsyncWorker, MarError, WorkerDied
from mar_serve.errors import internal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core import Answers, Metric, Prepared
    from mar_serve.dispatch import Dispatch
    from mar_serve.parts import Host
    from mar_serve.queues import Job
    from mar_serve.settings import ModelSettings
    from mar_serve.stats import ModelStats

__all__ = ["Owner", "Slot", "back_off"]

State = Literal["starting", "ready", "waiting", "closing", "failed"]
# Calls that a worker holds: one that is quick is given the next before it has answered, or it
# would idle while the answer and the next request pass each other.
QUICK, VERY_QUICK = 0.010, 0.002
# One that is slower idles likewise for a share of its time, when there is enough for everybody.
SLOW = 0.250
MOST_AHEAD = 32
CLOSING_SECONDS = 10.0
# Nothing that a request makes a handler do ends like this, but for a lack of memory: somebody has
# killed the worker, and a request that was alone in it gets a second chance.
KILLED = frozenset({-signal.SIGKILL, -signal.SIGTERM})
# Deaths of workers that held a request and had not begun it, until it is given out by itself.
UNBEGUN = 3

logger = logging.getLogger("mar_serve.workers")
# What handlers print and log, apart from what is said of workers.
output = logging.getLogger("mar_serve.output")


def back_off(failures: int) -> int:
    """Seconds to wait before the next start, after so many that failed: Fibonacci's numbers."""
    before, now = 1, 0
    for _ in range(failures):
        before, now = now, before + now
    return now


def _seen(first: asyncio.Future[None]) -> None:
    """Nobody has to wait for it: what went wrong is in the log besides."""
    if not first.cancelled():
        first.exception()


def _trace(error: Exception) -> str:
    """The handler's own lines of a traceback, on lines of their own; empty where it has none."""
    trace = getattr(error, "traceback", "")
    return f"\n{trace}" if trace else ""


class Owner(Protocol):
    """A version, for its workers."""

    server: Host
    settings: ModelSettings
    prepared: Prepared
    stats: ModelStats
    dispatch: Dispatch

    @property
    def threads(self) -> int:
        """A share of the cores for each worker."""

    @property
    def is_flooded(self) -> bool:
        """Whether a full batch waits for every worker."""

    def schedule(self) -> None:
        """Give out what waits."""


class Slot:
    """A place for a worker of one model version.

    Args:
        version: Whose worker it is.
        number: What it is called.
        gpu: The GPU whose turn it is; None where there is none, or the user has named a device.

    Attributes:
        worker: The worker; None while there is none.
        state: What it is doing.
        busy: Calls that it has not answered.
        alone: Whether nothing else may be given to it now.
        since: When the oldest of its calls began, by the monotonic clock.
        used: When it was last given something, likewise.
        seconds: How long the worker lately needed for a call.
        known: Whether it has answered a call.
        served: Requests that this worker has answered.
        started: When this worker was started.
        first: Done when the first start has come to its end.
        running: The requests of each call that it has not answered.
    """

    def __init__(self, version: Owner, number: int, gpu: int | None) -> None:
        self.version = version
        self.number = number
        self.gpu = gpu
        self.worker: AsyncWorker | None = None
        self.state: State = "starting"
        self.busy = 0
        self.alone = False
        self.since = self.used = time.monotonic()
        self.seconds, self.known = 1.0, False
        self.served = 0
        self.started = dt.datetime.now(dt.UTC)
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.first.add_done_callback(_seen)
        self.running: dict[int, list[Job]] = {}
        self._replacing: asyncio.Task[None] | None = None
        self._calls: set[asyncio.Future[Any]] = set()
        self._keeper = asyncio.create_task(self._keep())

    @property
    def depth(self) -> int:
        """How many calls it may be given at a time."""
        if self.alone or self.worker is None:
            return 1
        if self.seconds < VERY_QUICK:
            return MOST_AHEAD
        if self.seconds < QUICK or self.worker.ready.independent:
            return 2
        return 2 if self.seconds < SLOW and self.version.is_flooded else 1

    @property
    def places(self) -> int:
        """How many requests may be in one call of it; 0 while they have to wait for others."""
        return self.version.settings.batch_size

    def jobs(self) -> Iterator[Job]:
        """The requests that it has not answered."""
        for jobs in self.running.values():
            yield from jobs

    def give(self, jobs: list[Job], *, alone: bool = False) -> None:
        """Give it a batch.

        Args:
            jobs: The requests.
            alone: Whether nothing else may be given to it until this is answered.
        """
        now = time.monotonic()
        if not self.busy:
            self.since = now
        self.busy += 1
        self.alone = alone
        self.used = now
        for job in jobs:
            job.begun = job.begun or now
        if self.worker is None:
            self._is_free(jobs)
            self.version.dispatch.again([jobs], alone=alone)
            return
        self.running[id(jobs)] = jobs
        call = self.worker.call(
            [job.request for job in jobs], on_part=lambda row, piece: jobs[row].part(piece)
        )
        for job in jobs:
            job.call = call
        self._calls.add(call)
        call.add_done_callback(functools.partial(self._ended, jobs, self.worker, now))

    def check(self, now: float) -> None:
        """Kill the worker if it has not answered in time."""
        limit = self.version.settings.response_timeout
        if self.busy and self.worker is not None and now - self.since > limit:
            logger.error("%s: no answer within %s s", self, limit)
            self.since = now
            self.worker.kill(late=float(limit))

    def replace(self, why: str) -> None:
        """Start another worker, then let this one finish and end."""
        if self.state == "ready" and self._replacing is None:
            logger.info("%s: replacing the worker: %s", self, why)
            self._replacing = asyncio.create_task(self._replace())

    async def close(self, grace: float = CLOSING_SECONDS) -> None:
        """Answer what it was given, within so many seconds, and end."""
        self.state = "closing"
        for task in (self._keeper, self._replacing):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, MarError):
                    await task
        if self._calls:
            await asyncio.wait(self._calls, timeout=grace)
        if self.worker is not None:
            await self.worker.close(grace)
        self.worker = None
        self.version.stats.worker_gone(str(self.number))
        if not self.first.done():
            self.first.cancel()

    def __str__(self) -> str:
        return f"{self.version} worker {self.number}"

    async def _keep(self) -> None:
        """Have a worker here, again and again."""
        failures, first_failure = 0, 0.0
        while True:
            try:
                await self._start()
                failures = 0
            except (MarError, OSError) as error:
                if not self.first.done():
                    self._fail(error)
                    return
                logger.error("%s does not start: %s%s", self, error, _trace(error))  # noqa: TRY400 - a sentence
                now = time.monotonic()
                first_failure = first_failure if failures else now
                failures += 1
                if now - first_failure > self.version.settings.max_retry_timeout:
                    self._give_up()
                    return
                self.state = "waiting"
                await asyncio.sleep(back_off(failures))
                continue
            await self._outlive()
            self.state = "starting"

    async def _start(self) -> None:
        self.state = "starting"
        begun = time.monotonic()
        self.worker = await self._make()
        self._is_ready(time.monotonic() - begun)

    async def _make(self) -> AsyncWorker:
        version = self.version
        return await AsyncWorker.start(
            version.prepared,
            gpu=self.gpu,
            threads=version.threads,
            on_log=self._hear,
            on_metric=self._measure,
            startup_timeout=float(version.settings.startup_timeout),
            steps=version.settings.continuous_batching,
        )

    def _is_ready(self, seconds: float) -> None:
        self.started = dt.datetime.now(dt.UTC)
        self.served = 0
        self.seconds, self.known = 1.0, False
        self.used = time.monotonic()
        self.state = "ready"
        self.version.stats.worker_loaded(str(self.number), seconds)
        if not self.first.done():
            self.first.set_result(None)
        self.version.schedule()

    async def _outlive(self) -> None:
        """Wait until the worker that stands here is gone, and no other took its place."""
        while (worker := self.worker) is not None:
            death = await worker.ended()
            if self.worker is worker or self.worker is None:
                logger.error("%s %s", self, death)
                self.worker = None
                return

    async def _replace(self) -> None:
        try:
            begun = time.monotonic()
            fresh = await self._make()
        except MarError as error:
            logger.error("%s cannot be replaced: %s%s", self, error, _trace(error))  # noqa: TRY400 - likewise
            return
        finally:
            self._replacing = None
        old, self.worker = self.worker, fresh
        self._is_ready(time.monotonic() - begun)
        if old is not None:
            await old.close(CLOSING_SECONDS)

    def _fail(self, error: Exception) -> None:
        self.state = "failed"
        if trace := _trace(error):
            logger.error("%s does not start:%s", self, trace)
        self.first.set_exception(error)
        self.version.schedule()

    def _give_up(self) -> None:
        self.state = "failed"
        logger.error(
            "%s is not started any more: it failed for %s s",
            self,
            self.version.settings.max_retry_timeout,
        )
        self.version.schedule()

    def _ended(
        self, jobs: list[Job], worker: AsyncWorker, begun: float, call: asyncio.Future[Answers]
    ) -> None:
        """A call has come to its end."""
        self._calls.discard(call)
        try:
            answers = call.result()
        except WorkerDied as died:
            if self.worker is worker:  # nothing more to it, also before its end is heard
                self.worker, self.state = None, "starting"
            self._died(jobs, died)
        except Exception:
            logger.exception("%s: a batch could not be run", self)
            for job in jobs:
                job.fail(internal("Worker died."))
        else:
            self._note(jobs, answers.seconds)
            for job, reply in zip(jobs, answers, strict=True):
                job.answer(reply)
            self.version.dispatch.done(jobs)
            self._count(len(jobs), time.monotonic() - begun, answers.seconds)
        finally:
            self._is_free(jobs)

    def _is_free(self, jobs: list[Job]) -> None:
        """It can be given something in place of these."""
        self.running.pop(id(jobs), None)
        self.busy -= 1
        self.alone = False
        self.since = time.monotonic()
        self.version.schedule()

    def _note(self, jobs: list[Job], stages: dict[str, float]) -> None:
        if self.version.server.tracer is not None:
            for job in jobs:
                job.stages, job.batch_size = stages, len(jobs)

    def _count(self, size: int, seconds: float, stages: dict[str, float]) -> None:
        self.served += size
        # What the worker itself needed: the way there and back says nothing of the next call.
        worked = sum(stages.values()) or seconds
        self.seconds += (worked - self.seconds) * (0.2 if self.known else 1.0)
        self.known = True
        self.version.stats.batch(size, seconds, stages)
        self._look_worn()

    def _look_worn(self) -> None:
        most = self.version.server.config.max_requests
        if most and self.served >= most:
            self.replace(f"it has answered {self.served} requests")

    def _died(self, jobs: list[Job], died: WorkerDied) -> None:
        """Run what the worker held once more, in pieces, and answer what killed it."""
        whole = [job for job in jobs if job.stream is None]
        for job in jobs:
            if job.stream is not None:  # half of its answer is out: it cannot begin again
                job.answer(died.reply())
        pieces = died.again(whole) if whole else []
        alone = died.alone
        if not alone:
            pieces, alone = self._unbegun(whole, died)
        elif not pieces and whole and died.death.code in KILLED and not whole[0].suspected:
            whole[0].suspected = alone = True
            pieces = [whole]
        elif not pieces:
            for job in whole:
                job.answer(died.reply())
        self.version.dispatch.lose(self)
        self.version.dispatch.again(pieces, alone=alone)

    def _unbegun(self, jobs: list[Job], died: WorkerDied) -> tuple[list[list[Job]], bool]:
        """What to run again of what the worker had not begun, and whether each by itself.

        It may be the cause all the same, by what reading it does: what is by itself in a worker
        that dies has no more tries.
        """
        left = []
        for job in jobs:
            job.losses += 1
            if job.losses > UNBEGUN + 1:
                job.answer(died.reply())
            else:
                left.append(job)
        alone = any(job.losses > UNBEGUN for job in left)
        return [[job] for job in left] if alone else [left] if left else [], alone

    def _hear(self, line: str) -> None:
        output.info("%s: %s", self, line)

    def _measure(self, metric: Metric) -> None:
        self.version.stats.recorded(metric)
        self.version.server.telemetry.recorded(metric)
