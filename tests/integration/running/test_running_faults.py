"""A handler may do anything: it costs its own inputs a row each, and the run goes on."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from mar_core.testing import make_archive

GOOD = [{"n": n} for n in range(3)]


def check(rows, bad_type, *, stage=None):
    """Every good row has its result; the one in the middle has its error."""
    *_, bad, last = rows[1], rows[2], rows[3]
    assert [row.get("result") for row in rows] == [0, 1, None, 2]
    assert bad["error"]["type"] == bad_type, bad
    assert stage is None or bad["error"]["stage"] == stage
    assert last["result"] == 2
    return bad["error"]


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("do", "kind"),
    [
        ("raise", "ValueError"),
        ("exit", "SystemExit"),
        ("interrupt", "KeyboardInterrupt"),
        ("memory", "MemoryError"),
        ("object", "TypeError"),
        ("none", "HandlerError"),
        ("short", "HandlerError"),
    ],
)
def test_what_python_can_raise(zoo_archive, run_rows, do, kind, workers, batch_size):
    inputs = [*GOOD[:2], {"do": do}, GOOD[2]]
    summary, rows = run_rows(zoo_archive, *inputs, workers=workers, batch_size=batch_size)
    error = check(rows, kind)
    assert (summary.total, summary.succeeded) == (4, 3)
    if do == "raise":
        assert error["message"] == "no such digit (zoo.py, line 17, in answer)"
    if do == "memory":
        assert error["code"] == 507
        assert "--batch-size" in error["message"]
    if do == "short":
        assert "returned 0 results for 1 request" in error["message"]


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize(
    ("do", "kind", "says"),
    [
        ("segfault", "WorkerDied", "SIGSEGV"),
        ("abort", "WorkerDied", "SIGABRT"),
        ("killed", "MemoryError", "SIGKILL"),
        ("leave", "WorkerDied", "exit code 7"),
    ],
)
def test_what_kills_the_process(zoo_archive, run_rows, do, kind, says, batch_size, capfd):
    inputs = [*GOOD[:2], {"do": do}, GOOD[2]]
    _, rows = run_rows(zoo_archive, *inputs, workers=2, batch_size=batch_size)
    assert says in check(rows, kind, stage="worker")["message"]


@pytest.mark.parametrize("do", ["sleep", "sleep through sigterm"])
def test_what_hangs(zoo_archive, run_rows, do):
    start = time.monotonic()
    inputs = [*GOOD[:2], {"do": do}, GOOD[2]]
    _, rows = run_rows(zoo_archive, *inputs, timeout=1.5)
    assert "within 1.5 s" in check(rows, "TimeoutError", stage="worker")["message"]
    assert time.monotonic() - start < 1.5 + 10


def test_what_keeps_running_is_ended(zoo_archive, run_rows):
    before = sleepers()
    _, rows = run_rows(zoo_archive, GOOD[0], {"do": "fork", "n": 1}, GOOD[2], workers=1)
    assert [row["result"] for row in rows] == [0, 1, 2]
    assert sleepers() == before


def sleepers():
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return sum("sleep 600" in line or "run.worker" in line for line in listed.stdout.splitlines())


def test_what_changes_its_process_changes_only_the_worker(zoo_archive, run_rows):
    folder = Path.cwd()
    _, rows = run_rows(zoo_archive, {"do": "chdir", "n": 0}, *GOOD, workers=1)
    assert [row["result"] for row in rows] == [0, 0, 1, 2]
    assert Path.cwd() == folder


def test_what_writes_without_end_is_cut(zoo_archive, run_rows, capfd):
    _, rows = run_rows(zoo_archive, {"do": "chatter", "n": 0}, {"n": 1}, workers=1)
    assert [row["result"] for row in rows] == [0, 1]
    noise = capfd.readouterr().err
    assert 60_000 < len(noise) < 200_000
    assert "the rest is left out" in noise


COUNTDOWN = """
def handle(data, context):
    if data is None:
        context.cache = {}
        return None
    names = [context.get_request_id(at) for at in range(len(data))]
    for name in set(context.cache) - set(names):
        del context.cache[name]
    results = []
    for name, row in zip(names, data):
        asked = row["body"]
        if "bad" in asked and context.cache.get(name) == asked["bad"]:
            raise ValueError("no such digit")
        context.cache[name] = context.cache.get(name, asked["n"]) - 1
        results.append(context.cache[name])
    context.stopping_criteria = [lambda left: left <= 0] * len(data)
    return results
"""


@pytest.mark.parametrize("workers", [0, 1])
def test_a_step_that_fails_leaves_no_state_behind(tmp_path, run_rows, workers):
    """Each of the others counts from its own number again, and not on from where it was."""
    (tmp_path / "handler.py").write_text(COUNTDOWN)
    config = {"continuousBatching": True, "batchSize": 4}
    archive = make_archive(
        tmp_path, handler=tmp_path / "handler.py", model_name="count", config=config
    )
    inputs = [{"n": 3}, {"n": 4}, {"n": 5, "bad": 3}, {"n": 2}, {"n": 1}]
    _, rows = run_rows(archive, *inputs, workers=workers, batch_size=4)
    assert [row.get("result") for row in rows] == [0, 0, None, 0, 0]
    assert [row.get("streamed") for row in rows] == [[2, 1], [3, 2, 1], None, [1], None]
    assert rows[2]["error"]["type"] == "ValueError"
