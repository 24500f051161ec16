"""Real runs on real clusters: of one node, and of two that lose processes and a node."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mar_core.testing import make_archive

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.slow]

HANDLER = """
import os, signal, time

def handle(data, context):
    if not data:
        return None
    for row in data:
        value = row.get("data")
        if value == "bad":
            raise ValueError("bad row")
        if value == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if value == "hang":
            time.sleep(600)
        if value == "kill ray":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(600)
    return [{"value": row.get("data"), "id": context.get_request_id(at)}
            for at, row in enumerate(data)]
"""
# Notes who looks after it, and takes its time.
SLOW = """
import os, time

def handle(data, context):
    if not data:
        return None
    time.sleep(0.1)
    return [{"value": row["data"], "parent": os.getppid(), "gpu": os.environ.get(GPU),
             "blob": b"blob"} for row in data]

GPU = "CUDA_VISIBLE_DEVICES"
"""
BROKEN = "import this_is_not_there\n\ndef handle(data, context):\n    return data\n"


class Mar:
    """The command, in a folder, with what it needs to find a cluster."""

    def __init__(self, folder: Path, address: str | None = None, **environment: str) -> None:
        self.folder = folder
        self.flags = ["--engine", "ray", *(["--address", address] if address else [])]
        self.environment = {**os.environ, **environment}

    def start(self, *words, engine=True, **more):
        flags = self.flags if engine else []
        return subprocess.Popen(
            [sys.executable, "-m", "mar_core", "run", *flags, *map(str, words)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )

    def run(self, *words, **more):
        process = self.start(*words, **more)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def rows(self, name, values):
        lines = (v if isinstance(v, bytes) else json.dumps({"data": v}).encode() for v in values)
        (self.folder / name).write_bytes(b"\n".join(lines) + b"\n")
        return name

    def archive(self, code):
        (self.folder / "handler.py").write_text(code)
        return make_archive(self.folder, handler=self.folder / "handler.py")


class TwoNodes:
    """A cluster of two nodes, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        # Ray's folder is not the test's: paths of sockets must be short.
        self.environment = {"RAY_USAGE_STATS_ENABLED": "0"}
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("two_nodes.py")],
            cwd=folder,
            env={**os.environ, **self.environment, "MAR_CACHE_DIR": str(folder / "cache")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.address = self.process.stdout.readline().strip()

    def lose_the_second(self):
        self.process.stdin.write("kill\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "killed\n"

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory):
    cluster = TwoNodes(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.end()


@pytest.fixture
def mar(two_nodes, tmp_path):
    assert two_nodes.address
    return Mar(tmp_path, two_nodes.address, **two_nodes.environment)


@pytest.fixture
def alone(tmp_path):
    """The command without a cluster."""
    return Mar(tmp_path)


def results(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return found


def processes_of(pid):
    """The processes that carry a process's mark in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"MAR_RAY_TEST={pid}".encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def test_results_equal_the_local_engines(mar):
    """Good rows, bad rows, rows that are no JSON, and one that takes its worker down."""
    archive = mar.archive(HANDLER)
    values = [*range(40), "bad", b"{no json", "kill", "last"]
    source = mar.rows("rows.jsonl", values)
    words = (archive, source, "missing.jsonl", "--batch-size", 4, "--device", "cpu")
    local = mar.run(*words, "--workers", 1, "--quiet", engine=False)
    ours = mar.run(*words, "--quiet")
    assert ours.stderr == local.stderr == ""
    assert (ours.returncode, ours.stdout) == (local.returncode, local.stdout)
    failures = [
        row["error"]["type"] for row in map(json.loads, ours.stdout.splitlines()) if "error" in row
    ]
    assert sorted(failures) == ["InputError", "InputError", "MemoryError", "ValueError"]


def test_rows_that_hang_or_take_rays_own_process_down_cost_themselves(mar):
    archive = mar.archive(HANDLER)
    source = mar.rows("rows.jsonl", [1, 2, "kill ray", 3, "hang"])
    flags = ("--batch-size", 4, "--timeout", 3, "--device", "cpu", "--workers", 1)
    done = mar.run(archive, source, *flags, "-q")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (1, "")
    assert [row["result"]["value"] for row in rows if "result" in row] == [1, 2, 3]
    assert rows[2]["error"]["type"] == "WorkerDied"
    assert rows[4]["error"]["type"] == "TimeoutError"


def test_an_archive_that_cannot_be_loaded_is_a_sentence(mar):
    archive = mar.archive(BROKEN)
    source = mar.rows("rows.jsonl", [1, 2, 3])
    words = (archive, source, "--device", "cpu")
    local = mar.run(*words, "--workers", 1, engine=False)
    ours = mar.run(*words)
    assert (ours.returncode, ours.stderr) == (local.returncode, local.stderr)
    assert "this_is_not_there" in ours.stderr
    assert "Traceback" not in ours.stderr
    assert not ours.stdout


def test_sources_that_were_never_packed_reach_the_other_node_and_its_gpu(mar):
    """Without --device an actor takes a GPU where the cluster has some: the second node has one."""
    (mar.folder / "slow.py").write_text(SLOW)
    source = mar.rows("rows.jsonl", range(6))
    words = ("--handler", "slow.py", source, "--output-dir", "blobs", "-o", "out.jsonl")
    done = mar.run(*words, "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    rows = results(mar.folder / "out.jsonl")
    assert [row["result"]["value"] for row in rows] == list(range(6))
    assert {row["result"]["gpu"] for row in rows} == {"0"}
    blobs = sorted((mar.folder / "blobs").iterdir())
    assert [path.read_bytes() for path in blobs] == [b"blob"] * 6


def test_interrupted_and_resumed(mar):
    archive = mar.archive(SLOW)
    source = mar.rows("rows.jsonl", range(40))
    words = (archive, source, "-o", "out.jsonl", "--device", "cpu")
    out = mar.folder / "out.jsonl"
    process = mar.start(*words)
    wait_for(lambda: out.exists() and len(out.read_bytes().splitlines()) > 5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "--resume" in err
    before = len(results(out))
    assert before < 40
    done = mar.run(*words, "--resume")
    assert done.returncode == 0
    assert [row["result"]["value"] for row in results(out)] == list(range(40))


def test_a_process_and_then_a_node_are_lost_in_the_middle(mar, two_nodes):
    """The last test of this cluster: nobody brings its second node back."""
    archive = mar.archive(SLOW)
    source = mar.rows("rows.jsonl", range(100))
    out = mar.folder / "out.jsonl"
    words = (archive, source, "-o", "out.jsonl", "--device", "cpu", "--workers", 2)
    process = mar.start(*words)

    def parents():
        lines = out.read_bytes().splitlines()[:-1] if out.exists() else []
        return {json.loads(line)["result"]["parent"] for line in lines}

    before = wait_for(lambda: len(parents()) == 2 and parents())
    os.kill(before.pop(), signal.SIGKILL)
    wait_for(lambda: len(parents()) == 3)
    two_nodes.lose_the_second()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert [row["result"]["value"] for row in results(out)] == list(range(100))
    assert [row["id"] for row in results(out)] == [f"rows.jsonl:{n + 1}" for n in range(100)]


def test_without_an_address_it_brings_its_own_ray_and_takes_it_away(alone):
    archive = alone.archive(HANDLER)
    alone.environment["MAR_RAY_TEST"] = str(os.getpid())
    process = alone.start(archive, "-", "--unordered", "-q", stdin=subprocess.PIPE)
    rows = "".join(json.dumps({"data": n}) + "\n" for n in range(30))
    out, err = process.communicate(rows, timeout=120)
    assert (process.returncode, err) == (0, "")
    values = [json.loads(line)["result"]["value"] for line in out.splitlines()]
    assert sorted(values) == list(range(30))
    wait_for(lambda: not processes_of(os.getpid()), seconds=10)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--profile", "trace"], "--profile runs in this process, and --engine ray elsewhere."),
        (["--device", "cuda:1"], "Ray chooses the GPU"),
        (
            ["--address", "127.0.0.1:1"],
            "There is no Ray cluster at 127.0.0.1:1: Connection refused",
        ),
        (["--address", "ray://head:10001"], "'ray://head:10001' is no address of a Ray cluster"),
    ],
    ids=["profile", "gpu", "nobody", "client"],
)
def test_what_makes_no_sense_is_refused(alone, flags, said):
    done = alone.run(alone.archive(HANDLER), alone.rows("rows.jsonl", [1]), *flags)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_without_the_plugin_there_is_no_such_engine(alone):
    alone.environment["MAR_DISABLED_PLUGINS"] = "mar-ray"
    done = alone.run(alone.archive(HANDLER), alone.rows("rows.jsonl", [1]))
    assert done.returncode == 2
    assert "There is no engine 'ray'" in done.stderr
    assert "mar plugins" in done.stderr
