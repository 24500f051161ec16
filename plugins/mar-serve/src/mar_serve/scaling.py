"""How many workers a version has: between its least and its most, as the load wants it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

import psutil

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Sequence

    from mar_serve.dispatch import Dispatch
    from mar_serve.parts import Host
    from mar_serve.queues import Queue
    from mar_serve.settings import ModelSettings
    from mar_serve.slots import Slot

__all__ = ["Scaler", "memory_of"]

# How long requests must have waited, with every worker busy, before another worker is started.
PATIENCE = 0.5
MEMORY_SECONDS = 2.0

logger = logging.getLogger("mar_serve.scaling")


class Scaled(Protocol):
    """A version, for who adds and drops its workers."""

    server: Host
    settings: ModelSettings
    dispatch: Dispatch

    @property
    def slots(self) -> Sequence[Slot]:
        """Its workers' places."""

    @property
    def queue(self) -> Queue:
        """The requests that wait."""

    def add(self) -> Slot:
        """Start one more worker."""

    def drop(self, slot: Slot) -> None:
        """Let one worker finish and end."""

    def workers(self) -> Iterator[tuple[Slot, int]]:
        """The workers that run, with their process ids."""


class Scaler:
    """Adds and drops workers of one version.

    Args:
        version: Whose.
    """

    def __init__(self, version: Scaled) -> None:
        self._version = version
        self._pressed = 0.0
        self._looked = 0.0

    def wake(self) -> bool:
        """Start the first worker of a version that had none, if it may have one.

        Returns:
            Whether there is one now.
        """
        settings = self._version.settings
        if self._version.slots or settings.max_workers < 1:
            return bool(self._version.slots)
        logger.info("%s: starting a worker for a request", self._version)
        self._add()
        return True

    def tick(self, now: float) -> None:
        """Look at the load, at the workers' memory, and at what is worn."""
        self._grow(now)
        self._shrink(now)
        if now - self._looked > MEMORY_SECONDS:
            self._looked = now
            self._look_at_memory()

    def _grow(self, now: float) -> None:
        version = self._version
        settings = version.settings
        oldest = version.queue.oldest()
        starting = any(slot.state == "starting" for slot in version.slots)
        full = len(version.slots) >= settings.max_workers
        if oldest is None or starting or full or now - oldest.arrived < PATIENCE:
            self._pressed = 0.0
            return
        if not self._pressed:
            self._pressed = now
        elif now - self._pressed >= PATIENCE:
            self._pressed = 0.0
            logger.info("%s: requests wait: starting worker %s", version, len(version.slots) + 1)
            self._add()

    def _add(self) -> None:
        slot = self._version.add()
        slot.first.add_done_callback(self._told)

    def _told(self, first: asyncio.Future[None]) -> None:
        """Nobody waits for a worker that the load asked for: the log has to say what it says."""
        if not first.cancelled() and (error := first.exception()) is not None:
            logger.error("%s: a worker does not start: %s", self._version, error)

    def _shrink(self, now: float) -> None:
        version = self._version
        if len(version.slots) <= version.settings.min_workers or version.dispatch.waiting:
            return
        idle = [slot for slot in version.slots if self._is_idle(slot, now)]
        if idle:
            slot = min(idle, key=lambda slot: slot.used)
            logger.info("%s: no load: stopping a worker", version)
            version.drop(slot)

    def _is_idle(self, slot: Slot, now: float) -> bool:
        if slot.state == "failed":
            return True
        idle_for = now - slot.used
        return (
            slot.state == "ready"
            and not slot.busy
            and idle_for > self._version.server.config.idle_seconds
        )

    def _look_at_memory(self) -> None:
        most = self._version.server.config.max_memory
        if not most:
            return
        for slot, pid in self._version.workers():
            memory = memory_of(pid)
            if memory > most:
                slot.replace(f"it uses {memory >> 20} MiB")


def memory_of(pid: int) -> int:
    """Bytes of memory that a process uses; 0 when it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except (psutil.Error, OSError):
        return 0
