"""A run may be stopped at any instant, and goes on where it was."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
from packs import COMMAND, mar

SLOW = """
import time

def handle(data, context):
    if data is None:
        return None
    time.sleep({seconds} * len(data))
    return [{{"square": row["body"]["n"] ** 2, "model": "{model}"}} for row in data]
"""
ROWS = 300
MARK = "MAR_TEST_PLACE"


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with archives that take a little for each row, and rows."""
    folder = tmp_path_factory.mktemp("place")
    for model, seconds in (("slow", 0.003), ("other", 0), ("stuck", 60)):
        (folder / f"{model}.py").write_text(SLOW.format(seconds=seconds, model=model))
        words = ("--model-name", model, "--version", "1.0", "--handler", f"{model}.py")
        mar("archive", *words, cwd=folder)
    (folder / "rows.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(ROWS)))
    mar("run", "slow.mar", "rows.jsonl", "-o", "undisturbed.jsonl", cwd=folder)
    return folder


def begin(place, *words, **more):
    return subprocess.Popen(
        [*COMMAND, "run", *words], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True, env={**os.environ, MARK: str(place)}, **more,
    )  # fmt: skip


def wait_for_rows(path, number):
    """Wait until a file holds so many rows."""
    end = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < number:
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize(("workers", "ending"), [("0", "jsonl"), ("2", "json")])
def test_kill_9_at_ten_random_moments(place, workers, ending):
    """Each time the run is resumed, and killed again: in the end it is as if nothing had been."""
    output = place / f"killed-{workers}.{ending}"
    growing = output if ending == "jsonl" else output.with_name(f"{output.name}.part")
    words = ("slow.mar", "rows.jsonl", "-o", output.name, "--workers", workers, "--resume")
    chance = random.Random(workers + ending)
    there = 0
    for _ in range(5):
        running = begin(place, *words)
        wait_for_rows(growing, there + chance.randrange(1, ROWS // 10))
        time.sleep(chance.uniform(0, 0.02))
        running.kill()
        running.communicate()
        there = growing.read_bytes().count(b"\n")
    assert there < ROWS, "it was never in the middle"
    done = mar("run", *words, cwd=place)
    expected = rows_of(place / "undisturbed.jsonl")
    if ending == "json":
        assert json.loads(output.read_text()) == expected
        assert not growing.exists()
    else:
        assert output.read_bytes() == (place / "undisturbed.jsonl").read_bytes()
    assert f"{there} done before" in done.stderr


@pytest.mark.parametrize(("workers", "number"), [("0", signal.SIGINT), ("2", signal.SIGTERM)])
def test_ctrl_c_ends_soon_with_a_line_that_says_how_to_go_on(place, workers, number):
    output = place / f"stopped-{workers}-{number.name}.jsonl"
    words = ("slow.mar", "rows.jsonl", "-o", output.name, "--workers", workers)
    running = begin(place, *words)
    wait_for_rows(output, 20)
    running.send_signal(number)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    there = output.read_bytes().count(b"\n")
    assert 20 <= there < ROWS
    last = f"mar: interrupted; {there} inputs done. Go on with the same command and --resume."
    assert said.splitlines()[-1] == last
    assert "Traceback" not in said
    refused = mar("run", *words, cwd=place, code=2)
    assert refused.stderr.startswith(f"mar: error: {output.name} holds an interrupted run.")
    mar("run", *words, "--resume", cwd=place)
    assert output.read_bytes() == (place / "undisturbed.jsonl").read_bytes()


@pytest.mark.parametrize("workers", ["0", "1"])
def test_ctrl_c_while_the_handler_never_comes_back(place, workers):
    """The batch at work is given up after a second; nobody is left behind."""
    words = ("stuck.mar", "rows.jsonl", "-o", f"stuck-{workers}.jsonl", "--workers", workers)
    running = begin(place, *words)
    wait_for_rows(place / f"stuck-{workers}.jsonl", 0)
    time.sleep(1.5)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)  # the handler itself takes far longer
    assert running.returncode == 130
    assert said.splitlines()[-1] == "mar: interrupted; 0 inputs done."
    assert orphans(place) == []


def test_ctrl_c_while_it_waits_for_standard_input(place):
    """Python itself cannot end while a thread reads there: it would abort."""
    running = begin(place, "other.mar", "-", stdin=subprocess.PIPE)
    running.stdin.write("x")
    running.stdin.flush()
    end = time.monotonic() + 60
    while not workers_of(place):
        assert time.monotonic() < end
        time.sleep(0.1)
    time.sleep(2)
    running.send_signal(signal.SIGINT)
    running.wait(30)  # its input stays open till then, or what came of it would be an input
    _, said = running.communicate()
    assert running.returncode == 130, said
    assert said.splitlines()[-1] == "mar: interrupted; 0 inputs done."
    assert orphans(place) == []


def workers_of(place):
    """The worker processes of the runs that were begun here, by the mark in their environment."""
    mark = f"{MARK}={place}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"mar_core.runtime.worker" in words and mark in environment:
            found.append(process.name)
    return found


def orphans(place):
    """The workers of a killed run; they end a moment after it."""
    end = time.monotonic() + 10
    while (left := workers_of(place)) and time.monotonic() < end:
        time.sleep(0.1)
    return left


def test_a_killed_run_leaves_no_workers(place):
    running = begin(place, "slow.mar", "rows.jsonl", "-o", "left.jsonl", "--workers", "2")
    wait_for_rows(place / "left.jsonl", 5)
    assert len(workers_of(place)) == 2
    running.kill()
    running.communicate()
    assert orphans(place) == []


def test_what_is_resumed_must_be_the_same(place):
    words = ("rows.jsonl", "-o", "same.jsonl", "--limit")
    mar("run", "slow.mar", *words, "3", cwd=place)
    before = (place / "same.jsonl").read_bytes()
    for changed in (
        ("other.mar", *words, "9"),
        ("slow.mar", *words, "9", "-H", "X-Id: 1"),
    ):
        done = mar("run", *changed, "--resume", cwd=place, code=2)
        assert done.stderr.startswith("mar: error: same.jsonl was made by another archive or in an")
        assert len(done.stderr.splitlines()) == 1
        assert (place / "same.jsonl").read_bytes() == before
    # These change nothing about a row.
    more = ("--workers", "1", "--batch-size", "2", "--device", "cpu", "--unordered", "--json")
    mar("run", "slow.mar", *words, "5", *more, "--resume", cwd=place)
    assert (place / "same.jsonl").read_bytes().startswith(before)
    assert (place / "same.jsonl").read_bytes().count(b"\n") == 5


def test_what_was_never_packed_is_resumed_and_refused_alike(place):
    source = place / "draft.py"
    source.write_text(SLOW.format(seconds=0, model="first"))
    words = ("--handler", "draft.py", "rows.jsonl", "-o", "draft.jsonl")
    mar("run", *words, "--limit", "3", cwd=place)
    mar("run", *words, "--limit", "5", "--resume", cwd=place)
    assert (place / "draft.jsonl").read_bytes().count(b"\n") == 5
    source.write_text(SLOW.format(seconds=0, model="second"))
    done = mar("run", *words, "--resume", cwd=place, code=2)
    assert "draft.jsonl was made by another archive" in done.stderr


def test_inputs_that_came_and_went(place):
    """What is there is kept, what is new is added, whatever became of the input."""
    folder = place / "texts"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.json").write_text('{"n": 2}')
    words = ("slow.mar", "texts", "-o", "texts.jsonl")
    mar("run", *words, cwd=place)
    (folder / "b.json").unlink()
    (folder / "aa.json").write_text('{"n": 3}')
    (folder / "d.json").write_text("not json")
    done = mar("run", *words, "--resume", cwd=place, code=1)
    rows = rows_of(place / "texts.jsonl")
    assert [row["id"] for row in rows] == [
        f"texts/{name}.json" for name in ("a", "b", "c", "aa", "d")
    ]
    assert [row.get("result", {}).get("square") for row in rows] == [4, 4, 4, 9, None]
    assert "2 inputs" in done.stderr
    assert "2 done before" in done.stderr


@pytest.mark.parametrize(("ending", "workers"), [("jsonl", "0"), ("csv", "1")])
def test_a_full_disk_stops_with_a_sentence(place, ending, workers):
    output = f"full-{workers}.{ending}"
    words = ("slow.mar", "rows.jsonl", "-o", output, "--workers", workers, "--batch-size", "8")

    def lenient():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    running = begin(place, *words, preexec_fn=lenient)
    grows = output if ending == "jsonl" else f"{output}.part"
    wait_for_rows(place / grows, 1)
    # Only now: a worker starts with a file of its own that is larger.
    resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (9000, resource.RLIM_INFINITY))
    told, said = running.communicate(timeout=60)
    assert running.returncode == 2, said
    assert told == ""
    last = said.splitlines()[-1]
    assert last == (
        f"mar: error: There is no room left to write {grows}; the rows written before are whole. "
        "Make room, then run the same command with --resume."
    )
    assert "Traceback" not in said
    rows = rows_of(place / grows)
    assert 0 < len(rows) < ROWS
    mar("run", *words, "--resume", cwd=place)
    if ending == "jsonl":
        assert (place / output).read_bytes() == (place / "undisturbed.jsonl").read_bytes()
    else:
        assert (place / output).read_bytes().count(b"\n") == ROWS + 1


@pytest.mark.parametrize(
    ("limit", "number", "why"),
    [
        (resource.RLIMIT_FSIZE, 9000, "File too large"),
        (resource.RLIMIT_NOFILE, 14, "Too many open files"),
    ],
)
def test_a_worker_that_cannot_be_started_is_a_sentence(place, limit, number, why):
    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(limit, (number, number))

    running = begin(place, "slow.mar", "rows.jsonl", preexec_fn=small)
    told, said = running.communicate(timeout=60)
    assert (running.returncode, told) == (2, "")
    assert said.startswith(f"mar: error: A worker process cannot be started: {why}. It takes ")
    assert len(said.splitlines()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root; the limit above is for all")
def test_a_small_file_system(place):
    disk = place / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("root may not mount here; the limit above is for all")
    try:
        words = ("slow.mar", "rows.jsonl", "-o", "disk/out.jsonl")
        done = mar("run", *words, cwd=place, code=2)
        assert "There is no room left to write disk/out.jsonl" in done.stderr
        rows = rows_of(disk / "out.jsonl")
        assert 0 < len(rows) < ROWS
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
        mar("run", *words, "--resume", cwd=place)
        assert (disk / "out.jsonl").read_bytes() == (place / "undisturbed.jsonl").read_bytes()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_two_runs_on_one_output(place):
    words = ("stuck.mar", "rows.jsonl", "-o", "shared.jsonl")
    running = begin(place, *words)
    try:
        wait_for_rows(place / "shared.jsonl", 0)
        done = mar("run", *words, "--resume", cwd=place, code=2)
        assert "Another run is writing to shared.jsonl." in done.stderr
    finally:
        running.kill()
        running.communicate()
