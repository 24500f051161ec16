"""One worker process, asked from a thread that waits for several."""

from __future__ import annotations

import codecs
import contextlib
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from mar_core.errors import MarError
from mar_core.runtime.feed import Call
from mar_core.runtime.process import PATIENCE, Process
from mar_core.runtime.protocol import (
    CALL,
    END,
    IMPORT,
    LOAD,
    Inbox,
    ProtocolError,
    Ready,
    to_worker,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mar_core.runtime.deaths import Death
    from mar_core.runtime.interpreter import Interpreter
    from mar_core.runtime.protocol import Setup

__all__ = ["WorkerProcess"]

# What may be printed from one answer to the next before the rest of it is left out.
MOST_NOISE = 64 << 10
CHUNK = 64 << 10
PRINTED = 8 << 10


class WorkerProcess:
    """A worker, and the calls that it was given.

    Args:
        threads: How many threads PyTorch may use in it.
        interpreter: The Python that it runs in; None for this one.

    Attributes:
        socket: Where it is heard, for selectors.
        outgoing: What waits to be written to it.
        calls: Those that it has not answered, in the order in which they were given.
        ready: What it said when it had loaded the archive; None before.
        since: When it was started or last said something, by the monotonic clock.
    """

    def __init__(
        self,
        *,
        threads: int | None = None,
        interpreter: Interpreter | None = None,
    ) -> None:
        self._process = Process(threads=threads, interpreter=interpreter)
        self.socket = self._process.socket
        self.socket.setblocking(False)  # noqa: FBT003
        self._inbox = Inbox()
        self.outgoing: deque[memoryview] = deque()
        self._given = 0
        self._noise = 0
        self.calls: deque[Call] = deque()
        self.ready: Ready | None = None
        self.since = time.monotonic()
        self._printer = threading.Thread(target=self._pass_on, daemon=True)
        self._printer.start()

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.alive

    def load(self, setup: Setup) -> None:
        """Let it load an archive."""
        self._send([(LOAD, setup)])

    def import_early(self, module: str) -> None:
        """Let it import what it will need."""
        self._send([(IMPORT, module)])

    def give(self, calls: Sequence[Call]) -> None:
        """Let it answer calls, one after the other."""
        messages = []
        for call in calls:
            call.number = self._given
            self._given += 1
            self.calls.append(call)
            rows = [(name, headers, row) for _, name, row, headers in call.rows]
            messages.append((CALL, call.number, rows))
        self._send(messages)

    def write(self) -> None:
        """Write what waits, as far as it goes without waiting."""
        with contextlib.suppress(BlockingIOError, OSError):  # its end will be heard
            while self.outgoing:
                data = self.outgoing[0]
                sent = self.socket.send(data)
                if sent < len(data):
                    self.outgoing[0] = data[sent:]
                else:
                    self.outgoing.popleft()

    def read(self) -> list[list[Any]]:
        """What it has sent; nothing where a message is not whole yet.

        Raises:
            EOFError: It is gone, or sends what no worker of ours sends.
        """
        try:
            data = self.socket.recv(CHUNK)
        except BlockingIOError:
            return []
        except OSError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        self.since = time.monotonic()
        self._noise = 0
        try:
            return self._inbox.feed(data)
        except ProtocolError as error:
            raise EOFError(str(error)) from error

    def running_for(self) -> float:
        """For how many seconds it has been at its last call; 0 when it is idle."""
        return self._process.running_for()

    def ask_to_end(self) -> None:
        """Let it clean up and end."""
        self._send([(END,)])

    def wait(self, seconds: float = PATIENCE) -> bool:
        """Wait for its end, writing what it still has to read; whether it has come."""
        deadline = time.monotonic() + seconds
        while self.outgoing and time.monotonic() < deadline and self.alive:
            self.write()
            time.sleep(0.001)
        return self._process.wait(max(0.0, deadline - time.monotonic()))

    def end(self, *, late: float | None = None) -> Death:
        """End it and everything that it has started."""
        death = self._process.end(late=late)
        self.socket.close()
        # What it printed last; what it has let go of may hold the pipe open.
        self._printer.join(0.5)
        return death

    def unanswered(self) -> list[Call]:
        """After its death: the calls that it had."""
        calls = list(self.calls)
        self.calls.clear()
        return calls

    def again(self, call: Call) -> list[Call]:
        """After its death: what to run again of a call that it had; nothing where that is hopeless.

        See ``Part.again``.
        """
        part = self._process.part_of(call.number)
        return [Call(rows, alone=part.begun) for rows in part.again(call.rows)]

    def _send(self, messages: list[tuple[Any, ...]]) -> None:
        try:
            frame = to_worker(messages)
        except Exception as error:
            raise MarError(
                f"A request cannot be sent to the worker: {type(error).__name__}: {error}."
            ) from error
        self.outgoing.append(memoryview(frame))
        self.write()

    def _pass_on(self) -> None:
        """Copy what it prints to our standard error, within limits."""
        decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        with self._process.output as stream:
            while chunk := stream.read1(PRINTED):  # type: ignore[attr-defined]
                before, self._noise = self._noise, self._noise + len(chunk)
                text = decode(chunk)
                most = MOST_NOISE * max(1, len(self.calls))
                if before >= most:
                    continue
                if self._noise >= most:
                    text += "\nmar: the handler writes too much; the rest is left out\n"
                with contextlib.suppress(OSError, ValueError):  # the terminal is gone
                    sys.stderr.write(text)
                    sys.stderr.flush()
