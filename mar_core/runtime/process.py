"""A worker process as the operating system sees it: started, watched, ended with all it started."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.errors import MarError
from mar_core.runtime.deaths import Death, Part, part_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

    from mar_core.runtime.interpreter import Interpreter

__all__ = ["COUNTS", "MARKS", "PAGE", "Process"]

# How long a worker may take to end by itself, and after SIGTERM.
PATIENCE = 2.0
# Three numbers of eight bytes: calls begun, calls finished, when the last one began. Behind them a
# byte for each of the latest requests, which the parent sets when nobody waits for it any more.
COUNTS, MARKS = 24, 1 << 16
PAGE = COUNTS + MARKS
# A json.py in the current folder must not stand in for the standard library's.
_COMMAND = ["-P", "-c"]
_CODE = "from mar_core.runtime.worker import main; main()"


class Process:
    """A worker: a process group of its own with a private socket, and a page that it counts on.

    It ends when its parent does: it waits for the end of a pipe that nobody writes to.

    Args:
        threads: How many threads PyTorch may use in it; None leaves that to PyTorch.
        environment: What its environment has beside, or in place of, this process's.
        interpreter: The Python that it runs in; None for this one.

    Raises:
        MarError: It cannot be started.

    Attributes:
        socket: The parent's end of the socket.
        output: What it prints, and what its handler's processes do.
    """

    def __init__(
        self,
        *,
        threads: int | None = None,
        environment: Mapping[str, str] | None = None,
        interpreter: Interpreter | None = None,
    ) -> None:
        python, code = sys.executable, _CODE
        variables = {**os.environ, **(environment or {})}
        if interpreter is not None:
            python, variables = str(interpreter.executable), interpreter.variables(variables)
            code = f"import sys; sys.path += {list(interpreter.inherits)!r}; {code}"
        try:
            self._start([python, *_COMMAND, code], _environment(variables, threads))
        except OSError as error:
            raise MarError(
                f"A worker process cannot be started: {error.strerror}.",
                hint="It takes some memory, a few open files, and 64 KiB in the folder for "
                "temporary files: see that there is room, and that no limit (ulimit) forbids it.",
            ) from error
        self._last = (0, 0, 0)
        self._closed = False

    def _start(self, command: list[str], variables: dict[str, str]) -> None:
        """Start it; where that fails, nothing that was opened for it stays open."""
        with contextlib.ExitStack() as kept, contextlib.ExitStack() as given:
            self.socket, theirs = socket.socketpair()
            kept.enter_context(self.socket)
            given.enter_context(theirs)
            reading, self._lifeline = os.pipe()
            kept.callback(os.close, self._lifeline)
            given.callback(os.close, reading)
            file = given.enter_context(tempfile.TemporaryFile())
            file.truncate(PAGE)
            self._page = kept.enter_context(mmap.mmap(file.fileno(), PAGE))
            passed = (theirs.fileno(), reading, file.fileno())
            self._process = subprocess.Popen(
                [*command, *map(str, passed)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,  # what it prints goes where its errors go
                stderr=subprocess.STDOUT,
                pass_fds=passed,
                env=variables,
                start_new_session=True,
            )
            kept.pop_all()

    @property
    def pid(self) -> int:
        """Its process id, which is its group's too."""
        return self._process.pid

    @property
    def output(self) -> IO[bytes]:
        """What it prints."""
        stream = self._process.stdout
        assert stream is not None  # noqa: S101 - asked for above
        return stream

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def part_of(self, call: int) -> Part:
        """What part a call had in its death."""
        begun, finished, _ = self._counts()
        return part_of(call, begun=begun, finished=finished)

    def running_for(self) -> float:
        """For how many seconds its last call has been running; 0 when none is."""
        begun, finished, since = self._counts()
        return time.monotonic() - since / 1e9 if begun > finished else 0.0

    def mark(self, place: int, *, gone: bool) -> None:
        """Let the worker know whether anybody waits for a request that has not begun.

        Args:
            place: Which it is of all that the worker was given; it shares its mark with the one
                that came so many requests before.
            gone: Whether nobody does.
        """
        if not self._page.closed:
            self._page[COUNTS + place % MARKS] = gone

    def _counts(self) -> tuple[int, int, int]:
        if not self._page.closed:
            self._last = struct.unpack_from("3Q", self._page)
        return self._last

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and to everything that it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def wait(self, seconds: float) -> bool:
        """Wait for its end; whether it has come."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return not self.alive

    def end(self, *, late: float | None = None) -> Death:
        """End it, and everything that it has started: asked first, then not.

        Args:
            late: The time limit that it ran over.
        """
        if self.alive:
            self.signal(signal.SIGTERM)
            self.wait(PATIENCE)
        return self.kill(late=late)

    def kill(self, *, late: float | None = None) -> Death:
        """End it, and everything that it has started, at once."""
        self.signal(signal.SIGKILL)
        code = self._process.wait()
        if not self._closed:
            self._closed = True
            os.close(self._lifeline)
            self._counts()  # the last that it wrote
            self._page.close()
        return Death(code=code, seconds=late)


_PATHS = ("TS_METRICS_CONFIG",)


def _environment(environment: Mapping[str, str], threads: int | None) -> dict[str, str]:
    """The environment, with a share of the cores for each library that starts threads."""
    # What the user wrote is relative to where the user stands; the process goes elsewhere.
    given = {
        name: str(Path(environment[name]).absolute()) for name in _PATHS if environment.get(name)
    }
    environment = {**environment, **given}
    if threads is None:
        return dict(environment)
    # PyTorch lets MKL's number overrule OpenMP's; what the user says of one counts for both.
    share = environment.get("OMP_NUM_THREADS", str(threads))
    return {"OMP_NUM_THREADS": share, "MKL_NUM_THREADS": share, **environment}
