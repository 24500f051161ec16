"""One worker process, asked from an event loop."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from mar_core.runtime.deaths import Death, WorkerDied
from mar_core.runtime.process import PATIENCE, Process
from mar_core.runtime.protocol import (
    ANSWER,
    CALL,
    DESCRIBE,
    END,
    IMPORT,
    LOAD,
    METRIC,
    PART,
    READY,
    REFUSED,
    Inbox,
    ProtocolError,
    Ready,
    Reply,
    Setup,
    refused_with,
    reply_of,
    to_worker,
)
from mar_core.runtime.recipe import Recipe
from mar_core.ts.metrics import Metric, MetricTypes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mar_core.runtime.prepared import Prepared
    from mar_core.runtime.requests import Request

__all__ = ["Answers", "AsyncWorker", "Running"]

# Requests that fill a frame. A worker sends its answers when it has done a frame: where it is given
# two of them, it works on the second while the answers to the first are read here.
FRAME_REQUESTS = 16
# A line of the log that never ends is cut.
LONGEST_LINE = 64 << 10
# What a dead worker forked may hold its socket open: how often one looks for its end otherwise.
LOOK = 1.0
TICK = 0.005
SILENCE = 0.5


class Answers(list[Reply]):
    """The replies to the requests of a call, in order.

    Attributes:
        seconds: Wall-clock seconds by stage.
    """

    seconds: dict[str, float]


class Running(asyncio.Future[Answers]):
    """A call that a worker was given: a future of its answers.

    Args:
        worker: The worker.
        requests: What it is to answer.
        place: The place of the first of them.
    """

    def __init__(self, worker: AsyncWorker, requests: Sequence[Request], place: int) -> None:
        super().__init__(loop=worker._loop)  # noqa: SLF001 - they are one thing
        self._worker, self._requests, self._place = worker, requests, place

    def forget(self, request: Request) -> None:
        """Nobody waits for this one any more: it is left out if the call has not begun."""
        for at, one in enumerate(self._requests):
            if one is request and not self.done():
                self._worker._forget(self._place + at)  # noqa: SLF001 - likewise


class AsyncWorker:
    """A worker process that has an archive loaded, asked from an event loop.

    Made by ``start``. It belongs to the loop that it was started from, and ends with the process
    that it was started from, whatever happens to that.

    Attributes:
        ready: What the worker said of its archive.
    """

    ready: Ready

    def __init__(
        self,
        process: Process,
        *,
        on_log: Callable[[str], None] | None,
        on_metric: Callable[[Metric], None] | None,
    ) -> None:
        self._process = process
        self._on_log, self._on_metric = on_log, on_metric
        self._loop = asyncio.get_running_loop()
        self._transports: list[asyncio.BaseTransport] = []
        self._outgoing: list[tuple[Any, ...]] = []
        self._calls: dict[int, tuple[asyncio.Future[Answers], Callable[[int, bytes], None] | None]]
        self._calls = {}
        self._number = self._given = 0
        self._forgot = False
        self._started: asyncio.Future[Ready] = self._loop.create_future()
        self._ended: asyncio.Future[Death] = self._loop.create_future()
        self._silent: asyncio.Future[None] = self._loop.create_future()
        self._reaping: asyncio.Task[None] | None = None
        self._closing = False

    @classmethod
    async def start(
        cls,
        source: Recipe | Prepared,
        *,
        device: str | None = None,
        gpu: int | None = None,
        threads: int | None = None,
        env: Mapping[str, str] | None = None,
        body: bool = True,
        explain: bool = False,
        overlap: bool = True,
        steps: bool = False,
        on_log: Callable[[str], None] | None = None,
        on_metric: Callable[[Metric], None] | None = None,
        startup_timeout: float | None = None,
    ) -> AsyncWorker:
        """Start a worker process, and wait until its handler is initialized.

        Args:
            source: What to load. Prepare it once and give that, so that all workers load the same.
            device: Where the model goes, in place of what the recipe says.
            gpu: The GPU whose turn it is, where neither says a device (see ``gpus_for``).
            threads: How many threads PyTorch may use; None leaves that to PyTorch.
            env: What the process has in its environment beside ours.
            body: Answer with bodies as TorchServe encodes them; otherwise with plain values.
            explain: Ask for explanations, whatever the requests' headers say.
            overlap: Let the stages of different calls overlap where the handler allows it.
            steps: Of a handler with ``continuousBatching``, answer one step at a call: the header
                ``ts_stream_next`` of a reply says ``true`` where the request is to be in the next
                call again. A step that fails fails for all its requests.
            on_log: Takes each line that the handler prints or logs, without its end.
            on_metric: Takes each value that the handler records.
            startup_timeout: How many seconds it may take; None waits for ever.

        Raises:
            MarError: The archive cannot be loaded.
            WorkerDied: The process ended while it loaded the archive, or took too long.
        """
        prepared = await asyncio.to_thread(source.prepare) if isinstance(source, Recipe) else source
        prepared.check_unchanged()
        process = Process(threads=threads, environment=env, interpreter=prepared.interpreter)
        worker = cls(process, on_log=on_log, on_metric=on_metric)
        try:
            await worker._connect()
            if prepared.needs_torch:
                worker._send((IMPORT, "torch"))
            setup = Setup(
                prepared=prepared,
                device=device,
                gpu=gpu,
                explain=explain,
                body=body,
                overlap=overlap,
                steps=steps,
                metrics=on_metric is not None,
            )
            worker._send((LOAD, setup))
            worker.ready = await asyncio.wait_for(asyncio.shield(worker._started), startup_timeout)
        except TimeoutError:
            worker.kill(late=startup_timeout)
            raise WorkerDied(await worker.ended(), worker._process.part_of(0)) from None
        except BaseException:
            worker.kill()
            raise
        return worker

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def pending(self) -> int:
        """How many calls have not been answered."""
        return len(self._calls)

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not self._ended.done() and self._reaping is None

    async def run(
        self,
        requests: Sequence[Request],
        *,
        on_part: Callable[[int, bytes], None] | None = None,
    ) -> Answers:
        """Answer requests by one call of the handler.

        Calls that are made while others run wait in the worker; where the handler's stages are
        independent they are read and prepared there meanwhile. One bad request fails alone.

        Args:
            requests: The requests, in the order in which the handler sees them.
            on_part: Takes the number of a request and a piece of its answer that the handler sends
                ahead, as it is made. Without it, pieces are in ``Reply.parts``.

        Returns:
            One reply for each request, in order.

        Raises:
            WorkerDied: The process is gone; ``again`` says what to run again.
        """
        if on_part is not None:
            return await self.call(requests, on_part=on_part)
        parts: dict[int, list[bytes]] = {}
        answers = await self.call(
            requests, on_part=lambda at, part: parts.setdefault(at, []).append(part)
        )
        for at, pieces in parts.items():
            answers[at] = answers[at]._replace(parts=tuple(pieces))
        return answers

    def call(
        self, requests: Sequence[Request], *, on_part: Callable[[int, bytes], None]
    ) -> Running:
        """The same as ``run``, as a future: it takes no task, and its requests can be forgotten.

        Args:
            requests: The requests, in the order in which the handler sees them.
            on_part: Takes the number of a request and a piece of its answer.
        """
        place = self._given
        self._given += len(requests)
        for mark in range(place, self._given) if self._forgot else ():
            self._process.mark(mark, gone=False)
        call = Running(self, requests, place)
        asked = [tuple(request) for request in requests]
        self._ask(call, CALL, asked, place, on_part=on_part)
        return call

    def _forget(self, place: int) -> None:
        self._forgot = True
        self._process.mark(place, gone=True)

    async def describe(self) -> Any:
        """What the handler says of itself (``describe_handle``), as plain values; None if nothing.

        Raises:
            WorkerDied: The process is gone.
        """
        answer: asyncio.Future[Answers] = self._loop.create_future()
        self._ask(answer, DESCRIBE)
        return (await answer)[0].value

    async def ended(self) -> Death:
        """Wait until the process is gone, for whatever reason."""
        return await asyncio.shield(self._ended)

    async def close(self, grace: float = 10.0) -> None:
        """End after the calls under way and the handler's cleaning up, or when time is over.

        Args:
            grace: How many seconds it may take.
        """
        if not self._closing and self.alive:
            self._closing = True
            self._send((END,))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._ended), grace)
            return
        self.kill()
        await self.ended()

    def kill(self, *, late: float | None = None) -> None:
        """End it now, with everything that it has started.

        Args:
            late: The time limit that it ran over, for the words of its death.
        """
        if not self._ended.done():
            self._lose(late=late, patience=0.0)

    def _ask(
        self,
        answer: asyncio.Future[Answers],
        kind: int,
        *fields: Any,
        on_part: Callable[[int, bytes], None] | None = None,
    ) -> None:
        number = self._number
        self._number += 1
        if self._ended.done():
            answer.set_exception(WorkerDied(self._ended.result(), self._process.part_of(number)))
            return
        self._calls[number] = answer, on_part
        self._send((kind, number, *fields))

    def _send(self, message: tuple[Any, ...]) -> None:
        """Send a message together with all that are made in this turn of the loop."""
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(message)

    def _flush(self) -> None:
        messages, self._outgoing = self._outgoing, []
        if self.alive:
            for frame in _frames(messages):
                self._socket.write(to_worker(frame))

    async def _connect(self) -> None:
        process = self._process
        self._socket, _ = await self._loop.create_unix_connection(
            lambda: _Messages(self._take, self._lose), sock=process.socket
        )
        log, _ = await self._loop.connect_read_pipe(
            lambda: _Lines(self._log, self._silent), process.output
        )
        self._transports = [self._socket, log]
        self._loop.call_later(LOOK, self._look)

    def _look(self) -> None:
        if not self.alive:
            return
        if self._process.alive:
            self._loop.call_later(LOOK, self._look)
        else:
            self._lose()

    def _log(self, line: str) -> None:
        if self._on_log is not None:
            self._on_log(line)

    def _take(self, messages: list[list[Any]]) -> None:
        try:
            for message in messages:
                self._take_one(message)
        except (ProtocolError, LookupError, TypeError, ValueError) as error:
            self._log(f"mar: {error}")
            self.kill()

    def _take_one(self, message: list[Any]) -> None:
        kind = message[0]
        if kind == ANSWER:
            _, number, seconds, _, replies = message
            answer, _ = self._calls.pop(number)
            if not answer.done():  # nobody waits for it any more
                answers = Answers(map(reply_of, replies))
                answers.seconds = seconds
                answer.set_result(answers)
        elif kind == PART:
            _, number, row, part = message
            answer, on_part = self._calls[number]
            if on_part is not None and not answer.done():
                on_part(int(row), bytes(part))
        elif kind == METRIC:
            if self._on_metric is not None:
                self._on_metric(_metric(message))
        elif kind == READY:
            if not self._started.done():
                self._started.set_result(Ready(*message[1:]))
        elif kind == REFUSED and not self._started.done():
            self._started.set_exception(refused_with(message))
            self._started.exception()  # whoever waits sees it; nobody may

    def _lose(self, *, late: float | None = None, patience: float = PATIENCE) -> None:
        """It is gone, or must go."""
        if self._reaping is None:
            self._reaping = self._loop.create_task(self._reap(late=late, patience=patience))

    async def _reap(self, *, late: float | None, patience: float) -> None:
        deadline = self._loop.time() + patience
        while self._process.alive and self._loop.time() < deadline:  # noqa: ASYNC110 - no event
            await asyncio.sleep(TICK)
        death = self._process.kill(late=late)
        # What it printed last is in the pipe; what it has let go of may hold that open.
        await asyncio.wait([self._silent], timeout=SILENCE)
        for transport in self._transports:
            transport.close()
        if not self._started.done():
            self._started.set_exception(WorkerDied(death, self._process.part_of(0)))
            self._started.exception()
        calls, self._calls = self._calls, {}
        self._ended.set_result(death)
        for number, (answer, _) in calls.items():
            if not answer.done():
                answer.set_exception(WorkerDied(death, self._process.part_of(number)))


def _frames(messages: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Messages in pieces that hold enough requests to be worth a turn of the worker."""
    start = held = 0
    for end, message in enumerate(messages, 1):
        held += len(message[2]) if message[0] == CALL else 1
        if held >= FRAME_REQUESTS or end == len(messages):
            yield messages[start:end]
            start, held = end, 0


def _metric(message: Sequence[Any]) -> Metric:
    _, name, value, unit, dimensions, kind, request, time = message
    return Metric(
        name=name,
        value=value,
        unit=unit,
        dimensions=dimensions,
        type=MetricTypes[kind],
        request_id=request,
        timestamp=time,
    )


class _Messages(asyncio.Protocol):
    """Bytes from the worker's socket, as messages."""

    def __init__(self, take: Callable[[list[list[Any]]], None], lose: Callable[[], None]) -> None:
        self._inbox = Inbox()
        self._take, self._lose = take, lose

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._inbox.feed(data)
        except ProtocolError:
            self._lose()
        else:
            self._take(messages)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self._lose()


class _Lines(asyncio.Protocol):
    """What the worker prints, as lines."""

    def __init__(self, take: Callable[[str], None], ended: asyncio.Future[None]) -> None:
        self._take, self._ended = take, ended
        self._data = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._data = (self._data + data).split(b"\n")
        for line in lines:
            self._take(line.decode(errors="replace"))
        if len(self._data) > LONGEST_LINE:
            self._take(self._data.decode(errors="replace"))
            self._data = b""

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        if self._data:
            self._take(self._data.decode(errors="replace"))
        if not self._ended.done():
            self._ended.set_result(None)
