"""Sequences: requests that belong together go to one worker, one after another.

A handler that keeps a state for each sequence (``sequenceBatching: true``) finds every request of
it in the same process. A batch holds at most one request of each sequence.
"""

from __future__ import annotations

import os
import time
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any

from mar_serve.errors import no_worker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mar_serve.queues import Job
    from mar_serve.settings import ModelSettings
__all__ = ["Sequences", "id_header", "with_sequence"]


def id_header() -> str:
    """The header that names a sequence."""
    return os.environ.get("TS_REQUEST_SEQUENCE_ID", "ts_request_sequence_id")


def _start_header() -> str:
    return os.environ.get("TS_REQUEST_SEQUENCE_START", "ts_request_sequence_start")


def _end_header() -> str:
    return os.environ.get("TS_REQUEST_SEQUENCE_END", "ts_request_sequence_end")


def with_sequence(headers: dict[str, Any]) -> None:
    """Name the sequence of a request; one that names none begins a new one."""
    name = id_header()
    for key, value in headers.items():
        if key.lower() == name.lower() and value:
            headers[name] = value
            return
    headers[name] = f"ts-seq-{uuid.uuid4()}"
    headers[_start_header()] = "true"


class _Sequence:
    __slots__ = ("begun", "jobs", "name", "running", "slot", "touched")

    def __init__(self, name: str) -> None:
        self.name = name
        self.slot: object | None = None
        self.jobs: deque[Job] = deque()
        self.running = False
        self.begun = self.touched = time.monotonic()


class Sequences:
    """The sequences of one model version.

    Args:
        settings: Its numbers.
    """

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._sequences: dict[str, _Sequence] = {}

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(len(sequence.jobs) for sequence in self._sequences.values())

    def put(self, job: Job, name: str) -> bool:
        """Take a request in.

        Returns:
            False when its sequence has too many, or there are too many sequences.
        """
        sequence = self._sequences.get(name)
        if sequence is None:
            settings = self._settings
            most = max(settings.max_sequences, settings.batch_size * settings.min_workers)
            if len(self._sequences) >= most:
                return False
            sequence = self._sequences[name] = _Sequence(name)
        waiting = [one for one in sequence.jobs if not one.over]
        if len(waiting) >= self._settings.sequence_queue_size:
            return False
        sequence.jobs = deque([*waiting, job])
        sequence.touched = time.monotonic()
        return True

    def take(self, slot: object, most: int) -> list[Job]:
        """The next request of each sequence that is this worker's, or nobody's yet."""
        taken: list[Job] = []
        for sequence in self._sequences.values():
            while sequence.jobs and sequence.jobs[0].over:
                sequence.jobs.popleft()
            mine = sequence.slot is slot or sequence.slot is None
            if len(taken) < most and mine and sequence.jobs and not sequence.running:
                sequence.slot = slot
                sequence.running = True
                taken.append(sequence.jobs.popleft())
        return taken

    def done(self, jobs: Iterable[Job]) -> None:
        """These requests have been answered: the next ones of their sequences may go."""
        end = _end_header().lower()
        for job in jobs:
            name = str(job.request.headers.get(id_header(), ""))
            sequence = self._sequences.get(name)
            if sequence is None:
                continue
            sequence.running = False
            sequence.touched = time.monotonic()
            reply = job.future.result() if job.future.done() and not _failed(job) else None
            said = {key.lower(): value for key, value in getattr(reply, "headers", {}).items()}
            asked = {key.lower(): str(value) for key, value in job.request.headers.items()}
            if "true" in {said.get(end, "").lower(), asked.get(end, "").lower()}:
                self._close(sequence)

    def lose(self, slot: object) -> None:
        """A worker is gone, and with it the state of its sequences."""
        for sequence in [one for one in self._sequences.values() if one.slot is slot]:
            self._close(sequence)

    def tick(self, now: float) -> None:
        """End the sequences that have been silent, or have lasted, for too long."""
        idle = self._settings.sequence_max_idle / 1000
        longest = self._settings.sequence_timeout / 1000
        for sequence in list(self._sequences.values()):
            silent = idle and now - sequence.touched > idle
            lasted = longest and now - sequence.begun > longest
            if not sequence.running and (lasted or (silent and not sequence.jobs)):
                self._close(sequence)

    def jobs(self) -> Iterator[Job]:
        """The requests that wait."""
        for sequence in self._sequences.values():
            yield from sequence.jobs

    def _close(self, sequence: _Sequence) -> None:
        self._sequences.pop(sequence.name, None)
        for job in sequence.jobs:
            job.fail(no_worker(sequence.name, None))


def _failed(job: Job) -> bool:
    return job.future.cancelled() or job.future.exception() is not None
