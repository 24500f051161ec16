"""Many worker processes: who gets which batch, and what becomes of one whose worker dies."""

from __future__ import annotations

import contextlib
import dataclasses
import selectors
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from mar_core.errors import HandlerError
from mar_core.records import PLAIN_RESPONSE, Outcome, Response
from mar_core.runtime.feed import Batcher, Call, Feed, Parcel
from mar_core.runtime.machine import cores, count_gpus, gpus_for
from mar_core.runtime.prepared import needs_torch, prepare_opened
from mar_core.runtime.process import PATIENCE
from mar_core.runtime.protocol import (
    ANSWER,
    READY,
    REFUSED,
    ProtocolError,
    Ready,
    Setup,
    refused_with,
    reply_of,
)
from mar_core.runtime.worker_process import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from mar_core.records import Input, RunOptions, RunSummary
    from mar_core.runtime.deaths import Death
    from mar_core.runtime.interpreter import Interpreter
    from mar_core.runtime.protocol import Reply
    from mar_core.runtime.recipe import Recipe

__all__ = ["WorkerPool"]

MOST_DEATHS = 20
LOADING_SECONDS = 600.0
CLEANING_SECONDS = 60.0
TICK = 0.1
# How often dead workers are looked for; most are heard of.
LOOK_SECONDS = 1.0


class WorkerPool:
    """Runs batches in worker processes, and outlives every one of them.

    Use it as a context manager; the workers end with it. They start before the archive is looked
    at, and import PyTorch meanwhile; but for an environment of the archive's, which comes first.

    Args:
        recipe: What to load, and how.
        options: ``batch_size``, ``timeout``, ``explain`` and ``output_dir`` count.
        count: How many workers; None for one on each GPU that the archive may use, and one where
            there is none.
        summary: Where to count batches and the seconds of their stages.

    Raises:
        MarError: The archive cannot be read, or a rule refuses it.
    """

    def __init__(
        self, recipe: Recipe, options: RunOptions, *, count: int | None, summary: RunSummary
    ) -> None:
        self._size, self._timeout = options.batch_size, options.timeout
        gpus = 0 if recipe.device is not None else count_gpus()
        # How many are wanted on GPUs the archive's config says; each has its share of the cores.
        self._threads = _share(count or max(1, gpus))
        self._summary = summary
        self._again: deque[Call] = deque()
        self._newest, self._deaths = 0, 0
        self._looked = time.monotonic()
        self._took: list[float] = []  # by the batches of the frame that is heard
        self._batcher: Batcher | None = None
        self._feed: Feed | None = None
        self._selector = selectors.DefaultSelector()
        self._waking, self._woken = socket.socketpair()
        for end in (self._waking, self._woken):
            end.setblocking(False)  # noqa: FBT003
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._workers: list[WorkerProcess] = []
        try:
            self._setup = self._prepare(recipe, options, count or 1)
            prepared = self._setup.prepared
            self._gpus = gpus_for(prepared.config, count=gpus) if gpus else []
            while count is None and len(self._workers) < len(self._gpus):
                self._workers.append(self._start(prepared.interpreter))
            for place, worker in enumerate(self._workers):
                self._load(worker, place)
        except BaseException:
            self._kill()
            raise

    def run(self, inputs: Iterable[Input]) -> Iterator[list[Outcome]]:
        """Run inputs in batches; the outcomes of each batch as it ends.

        It may be called again when all have come. Their places count on.

        Args:
            inputs: The inputs.

        Raises:
            MarError: The archive cannot be loaded, or its workers die again and again.
        """
        try:
            while not self._finished():
                if self._feed is None and (batcher := self._find_batcher()):
                    ahead = 2 * len(self._workers)
                    self._feed = Feed(inputs, batcher, ahead=ahead, wake=self._wake)
                yield from filter(None, self._give())
                for worker in self._speaking():
                    yield from filter(None, self._hear(worker))
                for worker in self._gone_or_late():
                    yield self._lose(worker)
        finally:
            if self._feed is not None:
                self._feed.close()
                self._feed = None

    def close(self, seconds: float = CLEANING_SECONDS) -> None:
        """Let the handlers clean up, and end the workers.

        Args:
            seconds: How long that may take.
        """
        deadline = time.monotonic() + seconds
        for worker in self._workers:
            worker.ask_to_end()
        for worker in self._workers:
            worker.wait(max(0.0, deadline - time.monotonic()))
        self._kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self.close()
        elif kind is GeneratorExit:  # nobody wants the rest
            self.close(PATIENCE)
        else:
            self._kill()

    def _kill(self) -> None:
        for worker in self._workers:
            worker.end()
        self._selector.close()
        self._waking.close()
        self._woken.close()

    def _prepare(self, recipe: Recipe, options: RunOptions, count: int) -> Setup:
        """Prepare the archive, while the workers start if it is known already where."""
        here = recipe.here
        if here:
            self._workers += [self._start(None) for _ in range(count)]
        with recipe.open() as archive:
            torch = needs_torch(archive)
            if here and torch:
                self._import_torch()
            prepared = prepare_opened(archive, recipe, torch=torch, signed=False)
        if not here:
            self._workers += [self._start(prepared.interpreter) for _ in range(count)]
            if torch:
                self._import_torch()
        folder = options.output_dir
        return Setup(
            prepared=prepared,
            explain=options.explain,
            output_dir=None if folder is None else folder.absolute(),
            output_shown=folder,
        )

    def _import_torch(self) -> None:
        for worker in self._workers:
            worker.import_early("torch")

    def _start(self, interpreter: Interpreter | None) -> WorkerProcess:
        worker = WorkerProcess(threads=self._threads, interpreter=interpreter)
        self._selector.register(worker.socket, selectors.EVENT_READ, worker)
        return worker

    def _load(self, worker: WorkerProcess, place: int) -> None:
        """Let a worker load the archive, on the GPU whose turn its place is."""
        gpu = self._gpus[place % len(self._gpus)] if self._gpus else None
        worker.load(dataclasses.replace(self._setup, gpu=gpu))

    def _restart(self, place: int) -> WorkerProcess:
        """Another worker in a place, of the same archive as those before it.

        Raises:
            ArchiveError: The archive has changed meanwhile.
        """
        prepared = self._setup.prepared
        prepared.check_unchanged()
        worker = self._start(prepared.interpreter)
        self._load(worker, place)
        return worker

    def _find_batcher(self) -> Batcher | None:
        """What makes the batches, as soon as a worker has said how the archive wants them."""
        if self._batcher is None:
            for ready in (worker.ready for worker in self._workers if worker.ready):
                size = self._size or ready.batch_size
                self._batcher = Batcher(size=size, by_length=ready.by_length)
                break
        return self._batcher

    def _finished(self) -> bool:
        waiting = self._again or any(worker.calls for worker in self._workers)
        return self._feed is not None and self._feed.exhausted and not waiting

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._waking.send(b"\0")

    def _give(self) -> Iterator[list[Outcome]]:
        """Give every worker enough to do; what cannot be read is an outcome already."""
        for worker in self._workers:
            ready = worker.ready
            if ready is None or any(call.alone for call in worker.calls):
                continue
            while len(worker.calls) < ready.depth:
                if self._again:
                    if self._again[0].alone and worker.calls:
                        break
                    call = self._again.popleft()
                    worker.give([call])
                    if call.alone:
                        break
                    continue
                parcel = self._next()
                if parcel is None:
                    break
                worker.give(parcel.calls)
                yield parcel.failed

    def _next(self) -> Parcel | None:
        if self._feed is None or self._too_far_ahead():
            return None
        parcel = self._feed.take()
        if parcel is not None:
            self._newest = max(self._newest, parcel.last)
            self._add_seconds({"read": parcel.seconds})
        return parcel

    def _too_far_ahead(self) -> bool:
        """Whether results that must wait for an older one would pile up."""
        held = [row.number for w in self._workers if w.calls for row in w.calls[0].rows]
        held += [row.number for call in self._again for row in call.rows]
        if not held or self._feed is None or self._batcher is None:
            return False
        reach = max(self._batcher.reach, self._feed.size * self._batcher.size)
        return self._newest - min(held) > reach * (2 + 4 * len(self._workers))

    def _speaking(self) -> list[WorkerProcess]:
        """The workers that have sent something; what waits to be written goes out meanwhile."""
        for worker in self._workers:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.outgoing else 0)
            if self._selector.get_key(worker.socket).events != events:
                self._selector.modify(worker.socket, events, worker)
        speaking: list[WorkerProcess] = []
        for key, events in self._selector.select(TICK):
            if key.fileobj is self._woken:
                self._woken.recv(4096)
                continue
            if events & selectors.EVENT_WRITE:
                key.data.write()
            if events & selectors.EVENT_READ:
                speaking.append(key.data)
        return speaking

    def _gone_or_late(self) -> list[WorkerProcess]:
        """What a dead worker forked may hold its socket open, so that no end of it is heard."""
        now = time.monotonic()
        look = now - self._looked >= LOOK_SECONDS
        if look:
            self._looked = now
        return [w for w in self._workers if self._is_late(w) or (look and not w.alive)]

    def _is_late(self, worker: WorkerProcess) -> bool:
        if not worker.ready:
            return time.monotonic() - worker.since > max(LOADING_SECONDS, self._timeout or 0)
        return bool(self._timeout and worker.calls and worker.running_for() > self._timeout)

    def _hear(self, worker: WorkerProcess) -> Iterator[list[Outcome]]:
        try:
            messages = worker.read()
        except EOFError:
            yield self._lose(worker)
            return
        for message in messages:
            try:
                outcomes = self._take(worker, message)
            except (ProtocolError, LookupError, TypeError, ValueError, AttributeError) as error:
                text = "The worker sent something that no worker of ours sends."
                raise HandlerError(text, stage="worker") from error
            yield outcomes
        took, self._took = self._took, []
        if took and self._feed is not None:
            self._feed.learn(sum(took) / len(took), len(took))

    def _take(self, worker: WorkerProcess, message: list[Any]) -> list[Outcome]:
        if message[0] == ANSWER:
            self._deaths = 0
            return self._answered(worker, message)
        if message[0] == READY:
            worker.ready = Ready(*message[1:])
            self._add_seconds(worker.ready.seconds)
        elif message[0] == REFUSED:
            raise refused_with(message)
        return []

    def _answered(self, worker: WorkerProcess, message: list[Any]) -> list[Outcome]:
        _, number, seconds, out_of_memory, replies = message
        call = worker.calls.popleft()
        if call.number != number or len(replies) != len(call.rows):
            raise HandlerError("The worker mixed its answers up.", stage="worker")
        self._summary.batches += 1
        self._add_seconds(seconds)
        self._took.append(sum(seconds.values()))
        if self._batcher is not None and (self._batcher.learns or out_of_memory is not None):
            self._batcher.report(len(replies), seconds, out_of_memory=out_of_memory)
        return [
            Outcome(index=row[0], id=row[1], result=reply[0], response=PLAIN_RESPONSE)
            if len(reply) == 1
            else _outcome(row[0], row[1], reply_of(reply))
            for row, reply in zip(call.rows, replies, strict=True)
        ]

    def _add_seconds(self, seconds: dict[str, float]) -> None:
        total = self._summary.stage_seconds
        for stage, added in seconds.items():
            total[stage] = total.get(stage, 0.0) + added

    def _lose(self, worker: WorkerProcess) -> list[Outcome]:
        """Replace a worker that died or hangs; what it ran is tried again in pieces, or failed."""
        late = self._timeout if worker.alive and self._is_late(worker) else None
        self._selector.unregister(worker.socket)
        death = worker.end(late=late)
        self._deaths += 1
        if not worker.ready or self._deaths > MOST_DEATHS:
            raise self._give_up(worker, death)
        outcomes: list[Outcome] = []
        again: list[Call] = []
        for call in worker.unanswered():
            found = worker.again(call)
            if death.may_be_memory and len(found) > 1 and self._batcher is not None:
                self._batcher.shrink_below(len(call.rows))
            if not found:
                row = call.rows[0]
                outcomes.append(Outcome(index=row.number, id=row.id, failure=death.failure()))
            again += found
        self._again.extendleft(reversed(again))
        place = self._workers.index(worker)
        self._workers[place] = self._restart(place)
        return outcomes

    def _give_up(self, worker: WorkerProcess, death: Death) -> HandlerError:
        if not worker.ready:
            return HandlerError(f"The worker {death} while it loaded the archive.", stage="load")
        return HandlerError(
            f"The worker died {self._deaths} times in a row; the last time it {death}.",
            stage="worker",
            hint="Look for the cause in the handler, then go on with --resume.",
        )


def _share(count: int) -> int | None:
    """How many threads each of so many workers has for PyTorch; None leaves that to it."""
    return max(1, cores() // count) if count > 1 else None


def _outcome(index: int, name: str, reply: Reply) -> Outcome:
    status, phrase, headers, kind, _, _, failure, parts, value = reply
    response = PLAIN_RESPONSE
    if headers or status != PLAIN_RESPONSE.status or phrase:
        response = Response(status=status, phrase=phrase, content_type=kind, headers=headers)
    return Outcome(
        index=index,
        id=name,
        result=value,
        failure=failure,
        response=response if failure is None else PLAIN_RESPONSE,
        streamed=tuple(parts),
    )
