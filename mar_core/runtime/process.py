"""One worker process, as its parent sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from mar_core.runtime.wire import Done, Ready, receive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core.runtime.batching import NumberedBatch
    from mar_core.runtime.wire import Message, Setup

__all__ = ["WorkerProcess"]

# How long a worker may take to end by itself, and after SIGTERM.
PATIENCE = 2.0
# What one batch may write to standard error before the rest of it is left out.
MOST_NOISE = 64 << 10
CHUNK = 8 << 10
# A json.py in the current folder must not stand in for the standard library's.
_INTERPRETER = [sys.executable, "-P"]


class WorkerProcess:
    """A worker: a process group of its own, a private socket, and the batches that it was given.

    Args:
        setup: What the worker is told first.
        threads: How many threads PyTorch may use in it.

    Attributes:
        connection: The socket to it.
        jobs: The batches that it has not answered; the first one is the one that it runs.
        ready: What it said when it had loaded the archive; None before.
        since: When the first of ``jobs`` began, by the monotonic clock.
    """

    def __init__(self, setup: Setup, *, threads: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*_INTERPRETER, "-m", "mar_core.runtime.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,  # what it prints goes where its errors go
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                env=_environment(os.environ, threads),
                start_new_session=True,
            )
        self.connection = Connection(ours.detach())
        self.jobs: deque[NumberedBatch] = deque()
        self.ready: Ready | None = None
        self.since = time.monotonic()
        self._noise = 0
        threading.Thread(target=self._pass_on_noise, daemon=True).start()
        self.connection.send(setup)

    def give(self, batch: NumberedBatch) -> None:
        """Queue a batch for it.

        Raises:
            OSError: The worker is gone.
        """
        if not self.jobs:
            self.since = time.monotonic()
        self.jobs.append(batch)
        self.connection.send(batch)

    def take(self) -> Message:
        """Read its next message.

        Raises:
            EOFError: The worker is gone.
            OSError: Likewise.
        """
        message = receive(self.connection)
        self.since = time.monotonic()
        self._noise = 0
        if isinstance(message, Ready):
            self.ready = message
        elif isinstance(message, Done):
            self.jobs.popleft()
        return message

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def ask_to_end(self) -> None:
        """Let it clean up and end."""
        with contextlib.suppress(OSError):
            self.connection.send(None)

    def wait(self) -> None:
        """Wait a little for its end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)

    def kill(self) -> int:
        """End it and everything that it has started.

        Returns:
            Its exit code, negative for a signal.
        """
        self._signal(signal.SIGTERM if self.alive else signal.SIGKILL)
        self.wait()
        self._signal(signal.SIGKILL)
        code = self._process.wait()
        self.connection.close()
        return code

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _pass_on_noise(self) -> None:
        """Copy what it prints to our standard error, within limits."""
        stream = self._process.stdout
        if stream is None:
            return
        with stream:
            while chunk := stream.read1(CHUNK):  # type: ignore[attr-defined]
                before, self._noise = self._noise, self._noise + len(chunk)
                if before < MOST_NOISE:
                    sys.stderr.write(chunk.decode(errors="replace"))
                    sys.stderr.flush()
                elif before < MOST_NOISE + CHUNK:
                    self._noise += CHUNK
                    sys.stderr.write("\nmar: the handler writes too much; the rest is left out\n")


def _environment(environment: Mapping[str, str], threads: int) -> dict[str, str]:
    """Ours, with a share of the cores for each library that starts threads."""
    # PyTorch lets MKL's number overrule OpenMP's; what the user says of one counts for both.
    share = environment.get("OMP_NUM_THREADS", str(threads))
    return {"OMP_NUM_THREADS": share, "MKL_NUM_THREADS": share, **environment}
