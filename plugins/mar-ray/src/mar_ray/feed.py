"""The feed: from the process that lists the inputs to the actors that answer them.

Ray Data plans a read in full before it begins, and a run's inputs are a stream of unknown length.
So the dataset's rows are the numbers of chunks. The inputs themselves lie in Ray's object store, at
most so many chunks at a time, and the feed, a small actor beside the run, knows which is where.
Whatever Ray has to do a second time, because a process or a machine died, finds there what it found
the first time.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import ray

from mar_core import PluginError
from mar_ray.shipping import Shipment

if TYPE_CHECKING:
    from mar_core import Recipe
    from mar_ray.chunks import Chunker

__all__ = ["Feed", "Filler", "begin_feed"]

WAITING_AT_ONCE = 1000


class Feed:
    """Knows the chunks that are on their way.

    Args:
        recipe: How the archive is loaded, for machines that do not have it.
        folder: The folder that relative paths begin at.
    """

    def __init__(self, recipe: Recipe, folder: str) -> None:
        self._shipment = Shipment(recipe, folder)
        # Calls may arrive in another order than they were made: nothing here relies on it.
        self._chunks: dict[int, list[Any]] = {}
        self._begun: Counter[tuple[int, int]] = Counter()
        self._count: int | None = None
        self._changed = asyncio.Condition()

    async def put(self, number: int, chunk: list[Any]) -> None:
        """Take a chunk: the one reference to its inputs, in a list, so that it stays one."""
        async with self._changed:
            self._chunks[number] = chunk
            self._changed.notify_all()

    async def end(self, count: int) -> None:
        """There are so many chunks, and no more."""
        async with self._changed:
            self._count = count
            self._changed.notify_all()

    async def has(self, number: int) -> bool:
        """Wait for a chunk; False when there is none of that number."""
        async with self._changed:
            await self._changed.wait_for(lambda: number in self._chunks or number == self._count)
        return number in self._chunks

    async def take(self, number: int) -> list[Any]:
        """The reference to a chunk's inputs, in a list; empty when it has been answered."""
        return self._chunks[number]

    async def begin(self, number: int, place: int = -1) -> int:
        """Know that a chunk, or one input of it, is about to run; how often it was before."""
        self._begun[number, place] += 1
        return self._begun[number, place] - 1

    async def survive(self, number: int, place: int) -> None:
        """Know that an input has not cost its process."""
        del self._begun[number, place]

    async def drop(self, number: int) -> None:
        """Forget the inputs of a chunk that has been answered."""
        self._chunks[number] = []
        for key in [key for key in self._begun if key[0] == number]:
            del self._begun[key]

    async def archive(self) -> tuple[int, str]:
        """The archive's size and SHA-256, as one file."""
        return await asyncio.to_thread(self._shipment.describe)

    async def piece(self, start: int, size: int) -> bytes:
        """Some bytes of the archive."""
        return await asyncio.to_thread(self._shipment.read, start, size)


def begin_feed(recipe: Recipe, folder: str, *, node: str) -> Any:
    """The feed as an actor on the machine where the run was started.

    Args:
        recipe: See ``Feed``.
        folder: See ``Feed``.
        node: The id of that machine's node.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    options = ray.remote(Feed).options(
        num_cpus=0,
        max_concurrency=WAITING_AT_ONCE,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=node, soft=False),
    )
    return options.remote(recipe, folder)


class Filler:
    """Puts chunks into the feed, a bounded number ahead of their answers, from a thread.

    Args:
        feed: The feed.
        chunks: The chunks.
        ahead: How many may be without an answer.

    Attributes:
        count: How many there have been.
    """

    def __init__(self, feed: Any, chunks: Chunker, *, ahead: int) -> None:
        self._feed = feed
        self._chunks = chunks
        self._room = threading.Semaphore(ahead)
        self._held: dict[int, Any] = {}
        self.count = 0
        self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._fill, name="mar-ray-feed", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def answered(self, number: int) -> None:
        """A chunk has its answer: let go of it, and make room for another."""
        self._held.pop(number, None)
        self._feed.drop.remote(number)
        self._room.release()

    def stop(self) -> None:
        """Put in no more. A thread that waits for a slow input is not waited for."""
        self._stopped = True
        self._room.release()
        self._thread.join(timeout=1.0)

    def check(self) -> None:
        """Raise what listing the inputs raised, if it did, and see that nothing is missing."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        if self._held:
            raise PluginError(
                f"Ray gave no answer to {len(self._held)} of {self.count} pieces of the run.",
                hint="Go on with --resume.",
            )

    def _fill(self) -> None:
        try:
            for chunk in self._chunks:
                self._room.acquire()
                if self._stopped:
                    return
                self._held[self.count] = ray.put(chunk)
                self._feed.put.remote(self.count, [self._held[self.count]])
                self.count += 1
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            self._error = error
        finally:
            with contextlib.suppress(Exception):  # the cluster may be gone by now
                self._feed.end.remote(self.count)
