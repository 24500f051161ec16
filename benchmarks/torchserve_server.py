"""A real TorchServe, started from its distribution beside the environment, and a client for it.

Run as ``python torchserve_server.py ARCHIVE PICTURE OUTPUT``: starts it, waits for its first answer
and ends it, as one has to for one answer.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = Path(sys.prefix) / "torchserve"
# Enough requests at once to fill a batch.
CLIENTS = 64
START = """
import sys
from ts.model_server import start
sys.argv = ["torchserve", "--start", "--foreground", "--ncs", "--disable-token-auth",
            "--model-store", sys.argv[1], "--models", sys.argv[2], "--ts-config", sys.argv[3]]
start()
"""


def is_here() -> bool:
    """Whether there is one, and a Java to run it."""
    return shutil.which("java") is not None and HOME.exists()


@contextlib.contextmanager
def serving(archive: Path) -> Iterator[int]:
    """The port of a server with one worker, which has begun to load the archive."""
    with tempfile.TemporaryDirectory(prefix="mar-bench-") as scratch:
        home = Path(scratch)
        ports = free_ports(5)
        names = ("inference_address", "management_address", "metrics_address")
        lines = [
            f"{name}=http://127.0.0.1:{port}" for name, port in zip(names, ports, strict=False)
        ]
        lines += [f"grpc_inference_port={ports[3]}", f"grpc_management_port={ports[4]}"]
        lines += ["default_workers_per_model=1", "job_queue_size=1000"]
        (home / "config.properties").write_text("\n".join(lines))
        words = [archive.parent, f"{archive.stem}={archive.name}", home / "config.properties"]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with (home / "log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", START, *map(str, words)],
                cwd=home,
                env={**os.environ, "PYTHONPATH": str(HOME), "TEMP": str(home), "PATH": path},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield ports[0]
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def first_answer(port: int, name: str, picture: Path) -> dict[str, float]:
    """Ask until there is an answer."""
    while True:
        with contextlib.suppress(OSError, RuntimeError, http.client.HTTPException):
            return ask(port, name, picture)
        time.sleep(0.05)


def ask(port: int, name: str, picture: Path) -> dict[str, float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        connection.request("POST", f"/predictions/{name}", picture.read_bytes())
        response = connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            raise RuntimeError(f"{picture}: {response.status} {body[:200]!r}")
        answer: dict[str, float] = json.loads(body)
        return answer


def ask_all(port: int, name: str, pictures: Path, output: Path) -> None:
    """Keep the server as busy as it can be, and write its answers as ``mar run`` writes them."""
    paths = sorted(pictures.glob("*.jpg"))
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool, output.open("w") as stream:
        answers = pool.map(lambda path: ask(port, name, path), paths)
        for path, answer in zip(paths, answers, strict=True):
            stream.write(json.dumps({"id": str(path), "result": answer}) + "\n")


if __name__ == "__main__":
    archive, picture, output = map(Path, sys.argv[1:])
    with serving(archive) as port:
        answer = first_answer(port, archive.stem, picture)
    output.write_text(json.dumps({"id": str(picture), "result": answer}))
