"""The real ``mar serve`` in a process of its own, for tests that talk to it over real sockets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SECONDS = 120.0


class Serving:
    """A running server.

    Attributes:
        process: The process.
        inference: The base URL of predictions; ``management`` and ``metrics`` likewise.
        folder: Its working folder.
    """

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self._lines: list[str] = []
        self._said = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def log(self) -> str:
        """What it has said so far."""
        return "".join(self._lines)

    def records(self, message: str) -> list[dict[str, Any]]:
        """The JSON lines of the log that have this message."""
        found = []
        for line in list(self._lines):
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                if isinstance(record, dict) and record.get("message") == message:
                    found.append(record)
        return found

    def wait_for(self, text: str, *, count: int = 1, seconds: float = SECONDS) -> None:
        """Wait until it has said something, so many times."""
        with self._said:
            done = self._said.wait_for(
                lambda: self.log.count(text) >= count or self._ended(), seconds
            )
        assert done, f"it did not say {text!r} in time:\n{self.log}"
        assert self.log.count(text) >= count, f"it ended without saying {text!r}:\n{self.log}"

    def start(self) -> None:
        """Wait until it serves."""
        self.wait_for('"message": "serving"')
        addresses = self.records("serving")[0]["addresses"]
        self.inference = addresses["inference"]
        self.management = addresses.get("management", "")
        self.metrics = addresses.get("metrics", "")

    def client(self, **options: Any) -> httpx.Client:
        """A client of the inference address that ignores the machine's proxies."""
        options = {"base_url": self.inference, "timeout": 60.0, "trust_env": False, **options}
        return httpx.Client(**options)

    def admin(self, **options: Any) -> httpx.Client:
        """A client of the management address."""
        return self.client(base_url=self.management, **options)

    def workers(self, model: str, version: str = "all") -> list[dict[str, Any]]:
        """What management says of a model's workers."""
        with self.admin() as admin:
            shown = admin.get(f"/models/{model}/{version}").json()
        return [worker for one in shown for worker in one["workers"]]

    def end(self, number: int = signal.SIGTERM, *, seconds: float = SECONDS) -> int:
        """Ask it to end, and wait."""
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def close(self) -> None:
        """Read the rest of what it said."""
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._said:
                self._lines.append(line)
                self._said.notify_all()
        with self._said:
            self._said.notify_all()

    def _ended(self) -> bool:
        return not self._reader.is_alive() or self.process.poll() is not None


@contextlib.contextmanager
def running(
    *words: object, folder: Path, env: Mapping[str, str] | None = None, wait: bool = True
) -> Iterator[Serving]:
    """Run ``mar serve`` with free ports and a log of JSON lines; it ends with the context.

    Args:
        *words: More words of the command line.
        folder: Its working folder.
        env: More of its environment.
        wait: Wait until it serves.
    """
    command = [sys.executable, "-m", "mar_core", "serve", *_free(words), "--log", "json"]
    process = subprocess.Popen(
        [*command, *map(str, words)],
        cwd=folder,
        env={**os.environ, **(env or {})},
        stderr=subprocess.PIPE,
        text=True,
    )
    serving = Serving(process, folder)
    try:
        if wait:
            serving.start()
        yield serving
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        serving.close()


def _free(words: tuple[object, ...]) -> list[str]:
    """Free ports for the addresses that the words do not name."""
    found = []
    for option in ("--port", "--management-port", "--metrics-port"):
        if option not in words:
            found += [option, "0"]
    return found


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def eventually(check: Any, *, seconds: float = SECONDS) -> Any:
    """Wait until something holds; what it gives."""
    until = time.monotonic() + seconds
    while True:
        found = check()
        if found or time.monotonic() > until:
            assert found, "it did not come true in time"
            return found
        time.sleep(0.05)
