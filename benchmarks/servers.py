"""Each server in its turn: started with one model and one worker, and ended again."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import torchserve_server
from harness import HERE, MAR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from served_models import Served

PACKAGES = Path(sys.prefix) / "servers"
PATIENCE = 120


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that runs.

    Attributes:
        url: Where predictions are asked for.
        pid: Its first process.
        body: What each request carries.
        content_type: Of the body.
    """

    url: str
    pid: int
    body: Path
    content_type: str = "application/octet-stream"

    def ask(self) -> bytes:
        """One answer."""
        body, headers = self.body.read_bytes(), {"Content-Type": self.content_type}
        request = urllib.request.Request(self.url, body, headers, method="POST")  # noqa: S310
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            return answer.read()

    def cpu(self) -> float:
        """CPU seconds that it has used, with its children."""
        first = psutil.Process(self.pid)
        total = 0.0
        for process in [first, *first.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total


@contextlib.contextmanager
def mar(served: Served) -> Iterator[Running]:
    (port,) = torchserve_server.free_ports(1)
    words = [MAR, "serve", served.archive, "--port", str(port), "--no-tokens"]
    words += ["--management-port", "0", "--metrics-port", "0"]
    with _process(words) as pid:
        url = f"http://127.0.0.1:{port}/predictions/{served.kind}"
        yield _ready(Running(url=url, pid=pid, body=served.body))


@contextlib.contextmanager
def torchserve(served: Served) -> Iterator[Running]:
    mine = {child.pid for child in psutil.Process().children()}
    with torchserve_server.serving(served.archive) as port:
        (pid,) = (child.pid for child in psutil.Process().children() if child.pid not in mine)
        url = f"http://127.0.0.1:{port}/predictions/{served.kind}"
        yield _ready(Running(url=url, pid=pid, body=served.body))


def _program(name: str, path: str) -> Callable[[Served], contextlib.AbstractContextManager]:
    @contextlib.contextmanager
    def start(served: Served) -> Iterator[Running]:
        (port,) = torchserve_server.free_ports(1)
        variables = {
            "BENCH_PORT": str(port),
            "BENCH_KIND": served.kind,
            "BENCH_WEIGHTS": str(served.weights),
            "BENCH_SIZE": str(served.size),
            "BENCH_DELAY": str(served.delay),
            "PYTHONPATH": str(PACKAGES),
        }
        with _process([sys.executable, HERE / f"serve_{name}.py"], **variables) as pid:
            url = f"http://127.0.0.1:{port}{path}"
            running = Running(url=url, pid=pid, body=served.body)
            if name == "litserve":
                body = _in_json(served.body)
                running = Running(url=url, pid=pid, body=body, content_type="application/json")
            yield _ready(running)

    return start


SERVERS = {
    "bare ASGI": _program("bare", "/"),
    "mar serve": mar,
    "TorchServe": torchserve,
    "LitServe": _program("litserve", "/predict"),
    "mosec": _program("mosec", "/inference"),
}


@contextlib.contextmanager
def _process(words: list[str | Path], **variables: str) -> Iterator[int]:
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [str(word) for word in words],
            env={**os.environ, **variables},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            yield process.pid
        except BaseException:
            said.seek(0)
            sys.stderr.write(said.read().decode(errors="replace")[-4000:])
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _in_json(body: Path) -> Path:
    """The same bytes for a server that takes JSON only."""
    path = body.with_suffix(".json")
    path.write_text(json.dumps({"data": base64.b64encode(body.read_bytes()).decode()}))
    return path


def _ready(running: Running) -> Running:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            running.ask()
        except (OSError, urllib.error.URLError):
            if (
                time.monotonic() > end
                or psutil.Process(running.pid).status() == psutil.STATUS_ZOMBIE
            ):
                raise
            time.sleep(0.1)
        else:
            return running
