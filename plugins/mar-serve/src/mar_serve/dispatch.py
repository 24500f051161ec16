"""Who gets what when: from a version's queue to its workers, in batches worth running."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from mar_serve.errors import no_worker
from mar_serve.queues import Queue
from mar_serve.sequences import Sequences, id_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mar_serve.queues import Job
    from mar_serve.settings import ModelSettings

__all__ = ["Dispatch"]


class Place(Protocol):
    """A worker's place, for who gives it requests."""

    busy: int
    alone: bool
    seconds: float

    @property
    def state(self) -> str:
        """What it is doing."""

    @property
    def depth(self) -> int:
        """How many calls it may be given at a time."""

    @property
    def places(self) -> int:
        """How many requests may be in one call of it."""

    def give(self, jobs: list[Job], *, alone: bool = False) -> None:
        """Give it a batch."""


class Fed(Protocol):
    """A version, for who gives its workers what waits."""

    @property
    def name(self) -> str:
        """What requests call the model."""

    @property
    def settings(self) -> ModelSettings:
        """Its numbers."""

    @property
    def slots(self) -> Sequence[Place]:
        """Its workers' places."""

    @property
    def has_hope(self) -> bool:
        """Whether a worker is there or will be."""


class Dispatch:
    """Gives a version's workers what waits.

    Args:
        version: Whose.

    Attributes:
        queue: The requests that wait.
        sequences: Those that belong to sequences, where the model's configuration wants them.
        last_size: How many requests the latest batch had.
    """

    def __init__(self, version: Fed) -> None:
        settings = version.settings
        self._version = version
        self._settings = settings
        self.queue = Queue(settings.queue_size)
        self.sequences = Sequences(settings) if settings.sequence_batching else None
        self.last_size = 1
        # Who asks for the running loop makes a call of the system.
        self._loop = asyncio.get_running_loop()
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        more = self.sequences.waiting if self.sequences is not None else 0
        return self.queue.waiting + more

    def put(self, job: Job) -> bool:
        """Take a request in.

        Returns:
            False when there is no room for it.
        """
        if self.sequences is None:
            taken = self.queue.put(job)
        else:
            taken = self.sequences.put(job, str(job.request.headers.get(id_header(), "")))
        if taken:
            self.schedule()
        return taken

    def done(self, jobs: list[Job]) -> None:
        """A worker has answered these."""
        self.last_size = len(jobs)
        if self.sequences is not None:
            self.sequences.done(jobs)

    def again(self, pieces: Iterable[list[Job]], *, alone: bool) -> None:
        """Run requests of a worker that died once more, in these pieces.

        A sequence's state has died with the worker: its requests cannot be run by another.
        """
        if self.sequences is None:
            self.queue.again.extend((piece, alone) for piece in pieces)
            return
        for piece in pieces:
            for job in piece:
                job.fail(no_worker(self._version.name, None))

    def lose(self, slot: object) -> None:
        """A worker is gone."""
        if self.sequences is not None:
            self.sequences.lose(slot)

    def jobs(self) -> Iterator[Job]:
        """The requests that wait and have a deadline or a sequence."""
        yield from self.queue.jobs()
        if self.sequences is not None:
            yield from self.sequences.jobs()

    def refuse_all(self) -> None:
        """Give everything that waits its refusal: nobody will ever run it."""
        waiting = self.queue.empty()
        if self.sequences is not None:
            waiting += [job for job in self.sequences.jobs() if not job.over]
        for job in waiting:
            job.fail(no_worker(self._version.name, None))

    def tick(self, now: float) -> None:
        """Look after sequences that have ended silently."""
        if self.sequences is not None:
            self.sequences.tick(now)

    def schedule(self) -> None:
        """Give out what waits, as soon as everything that has arrived is in the queue."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._give_out)

    def _give_out(self) -> None:
        self._scheduled = False
        if not self._version.has_hope:
            self.refuse_all()
            return
        if self.sequences is not None:
            self._give_sequences(self.sequences)
            return
        while self.queue.again and self._give_again():
            pass
        while not self.queue.again and self._give_new():
            pass

    def _free(self, *, idle: bool = False) -> Place | None:
        """The worker that has least to do and can take more."""
        best = None
        for slot in self._version.slots:
            if slot.state != "ready" or slot.busy >= (1 if idle else slot.depth) or slot.alone:
                continue
            if not slot.busy:
                return slot
            if best is None or slot.busy < best.busy:
                best = slot
        return best

    def _give_sequences(self, sequences: Sequences) -> None:
        """A worker's own sequences first; new ones go to who has least to do."""
        joins = self._settings.continuous_batching
        for slot in self._version.slots:
            if slot.state != "ready" or (slot.busy and not joins):
                continue
            jobs = sequences.take(slot, slot.places)
            if jobs:
                slot.give(jobs)

    def _give_again(self) -> bool:
        """Give out a batch that a worker's death has left."""
        again = self.queue.again
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
        oldest = self.queue.oldest()
        slot = self._free() if oldest is not None else None
        if oldest is None or slot is None:
            return False
        wait = self._wait(oldest, slot) if self._settings.batch_size > 1 else 0.0
        if wait > 0:
            self._wake_in(wait)
            return False
        jobs = self.queue.take(slot.places)
        if not jobs:  # its deadline has just passed
            return False
        slot.give(jobs)
        return True

    def _wait(self, oldest: Job, slot: Place) -> float:
        """Seconds that waiting for a fuller batch is worth.

        A worker that idles takes what is there, unless the latest batch was larger: then those
        that it answered are about to ask again. One that is busy loses nothing by waiting.
        """
        if self._settings.continuous_batching:  # others may still join it
            return 0.0
        size = self._settings.batch_size
        waiting = self.queue.waiting
        if waiting >= size:
            return 0.0
        delay = self._settings.max_batch_delay / 1000
        if not slot.busy:
            if waiting >= min(size, self.last_size):
                return 0.0
            delay = min(delay, slot.seconds)
        return oldest.arrived + delay - time.monotonic()

    def _wake_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self.schedule)
