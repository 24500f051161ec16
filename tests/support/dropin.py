"""The real ``torchserve`` of mar-torchserve, for tests that talk to what it starts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from serving import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECONDS = 120.0
COMMAND = [sys.executable, "-P", "-m", "mar_torchserve.command"]
KEYS = ("inference_address", "management_address", "metrics_address")


class DropIn:
    """A folder in which ``torchserve`` is run, with ports and temporary files of its own.

    Attributes:
        folder: The working folder; ``store`` in it is the model store.
        ports: Of inference, management, metrics, and gRPC's two.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = free_ports(5)
        self.temporary = folder / "tmp"
        self.store = folder / "store"
        for path in (self.temporary, self.store):
            path.mkdir(exist_ok=True)
        self.environment = {**os.environ, "TMPDIR": str(self.temporary)}
        for name in [name for name in self.environment if name.startswith(("TS_", "AIP_"))]:
            del self.environment[name]

    def configure(self, *lines: str, file: str = "config.properties", scheme: str = "http") -> Path:
        """Write a config.properties with the free ports, and more lines."""
        given = {line.partition("=")[0] for line in lines}
        own = [
            f"{key}={scheme}://127.0.0.1:{port}"
            for key, port in zip(KEYS, self.ports, strict=False)
            if key not in given
        ]
        own += [
            f"grpc_inference_port={self.ports[3]}",
            f"grpc_management_port={self.ports[4]}",
            "default_workers_per_model=1",
        ]
        path = self.folder / file
        path.write_text("\n".join([*own, *lines]) + "\n", encoding="utf-8")
        return path

    def run(
        self, *words: object, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``torchserve`` and wait for the command itself."""
        # A server that goes on in the background must not keep a pipe of ours open, nor write into
        # what the next command says.
        with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
            done = subprocess.run(
                [*COMMAND, *map(str, words)],
                cwd=self.folder,
                env={**self.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                timeout=SECONDS,
                check=False,
            )
            said.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, stdout=said.read())

    @property
    def pid(self) -> int | None:
        """The process that the pid file names."""
        path = self.temporary / ".model_server.pid"
        return int(path.read_text()) if path.exists() else None

    def url(self, kind: str = "inference", scheme: str = "http") -> str:
        """The base URL of an address."""
        port = self.ports[("inference", "management", "metrics").index(kind)]
        return f"{scheme}://127.0.0.1:{port}"

    def client(self, kind: str = "inference", **options: object) -> httpx.Client:
        """A client of an address that ignores the machine's proxies."""
        scheme = str(options.pop("scheme", "http"))
        return httpx.Client(
            base_url=self.url(kind, scheme), timeout=60.0, trust_env=False, **options
        )

    def wait(self, scheme: str = "http") -> None:
        """Wait until everything that was to be served answers."""
        end = time.monotonic() + SECONDS
        with self.client(scheme=scheme, verify=False) as client:
            while time.monotonic() < end:
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/ping").status_code in {200, 400}:
                        return
                assert self.pid is None or _lives(self.pid), self.log()
                time.sleep(0.1)
        raise AssertionError(f"it does not answer:\n{self.log()}")

    def log(self, name: str = "ts_log.log") -> str:
        """What a log file holds."""
        path = self.folder / "logs" / name
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def close(self) -> None:
        """End what still runs."""
        pid = self.pid
        if pid is not None and _lives(pid):
            os.kill(pid, signal.SIGTERM)
            end = time.monotonic() + SECONDS
            while _lives(pid) and time.monotonic() < end:
                time.sleep(0.05)
            assert not _lives(pid), f"the server did not end:\n{self.log()}"


@contextlib.contextmanager
def started(
    drop_in: DropIn, *words: object, environment: Mapping[str, str] | None = None
) -> Iterator[DropIn]:
    """``torchserve --start`` until the context ends."""
    try:
        done = drop_in.run("--start", *words, environment=environment)
        assert done.returncode == 0, done.stdout
        drop_in.wait()
        yield drop_in
    finally:
        drop_in.close()


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"
