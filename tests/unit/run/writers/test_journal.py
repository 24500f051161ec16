"""Rows that are appended whole, and taken up again after anything."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mar_core import Failure, Outcome, OutputError, Response, UsageError, WriteOptions
from mar_core.run.writers import open_writer
from mar_core.run.writers.base import parse
from mar_core.run.writers.journal import DoneIds, Journal


def outcomes(*numbers):
    return [Outcome(index=n, id=f"r:{n}", result={"n": n, "text": "é\n" * n}) for n in numbers]


def rows(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out.jsonl"


def write(path, *numbers, resume=False, digest="d", finished=True):
    writer = open_writer(path, resume=resume, digest=digest)
    writer.write(outcomes(*numbers))
    writer.close(finished=finished)
    return writer


def test_a_row_is_an_id_and_a_result_or_an_error(path):
    failed = Failure(stage="preprocess", type="ValueError", message="no", code=400, traceback="…")
    said = Response(status=201, phrase="Made", content_type="text/plain", headers={"A": "b"})
    items = [
        Outcome(index=0, id="a", result=None),
        Outcome(index=1, id="b", failure=failed),
        Outcome(index=2, id="c", result=1, response=said, streamed=("x", "y")),
    ]
    with open_writer(path) as writer:
        assert writer.write(items) == items
    assert rows(path) == [
        {"id": "a", "result": None},
        {
            "id": "b",
            "error": {"stage": "preprocess", "type": "ValueError", "message": "no", "code": 400},
        },
        {"id": "c", "result": 1, "streamed": ["x", "y"]},
    ]
    with open_writer(path, options=WriteOptions(details=True)) as writer:
        writer.write(items)
    told = {"status": 201, "phrase": "Made", "content_type": "text/plain", "headers": {"A": "b"}}
    assert [row.get("response") for row in rows(path)] == [None, None, told]


def test_what_cannot_be_written_down_comes_back_as_a_failure(path):
    with open_writer(path) as writer:
        (written,) = writer.write([Outcome(index=0, id="a", result=object())])
    assert written.failure.stage == "result"
    assert rows(path)[0]["error"]["message"] == written.failure.message


def test_an_id_that_is_not_utf8(path):
    name = os.fsdecode(b"caf\xe9.png")
    with open_writer(path) as writer:
        writer.write([Outcome(index=0, id=name, result="ü")])
    assert rows(path) == [{"id": name, "result": "ü"}]
    path.read_bytes().decode("utf-8")
    with open_writer(path, resume=True) as writer:
        assert name in writer.done


@pytest.mark.parametrize("cut", range(70))
def test_a_torn_last_row_is_repaired_at_every_byte(path, cut):
    write(path, 0, 1, 2, finished=False)
    whole = path.read_bytes()
    ends = [0, *(i + 1 for i, byte in enumerate(whole) if byte == ord("\n"))]
    path.write_bytes(whole[: len(whole) - cut])
    left = max(number for number, end in enumerate(ends) if end <= len(whole) - cut)
    writer = open_writer(path, resume=True, digest="d")
    assert len(writer.done) == left
    assert [f"r:{n}" in writer.done for n in range(3)] == [n < left for n in range(3)]
    assert path.read_bytes() == whole[: ends[left]]
    writer.write(outcomes(*range(left, 3)))
    writer.close()
    assert path.read_bytes() == whole


def test_zeros_at_the_end_as_a_power_cut_leaves_them(path):
    write(path, 0, 1, finished=False)
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 5000)
    with open_writer(path, resume=True, digest="d") as writer:
        assert len(writer.done) == 2
    assert path.read_bytes() == whole


@pytest.mark.parametrize("line", [b"no\n", b"[1]\n", b'{"n": 1}\n', b'{"id": 1}\n'])
def test_a_file_that_holds_something_else_is_left_alone(path, line):
    write(path, 0, finished=False)
    whole = path.read_bytes() + line + path.read_bytes()
    path.write_bytes(whole)
    with pytest.raises(OutputError, match=r"Line 2 of .*out\.jsonl is no row of results"):
        open_writer(path, resume=True, digest="d")
    assert path.read_bytes() == whole


def test_a_finished_output_can_be_added_to(path):
    write(path, 0, 1)
    assert len(write(path, 2, resume=True).done) == 2
    assert [row["id"] for row in rows(path)] == ["r:0", "r:1", "r:2"]


def test_starting_afresh(path):
    write(path, 0, 1)
    write(path, 2)
    assert [row["id"] for row in rows(path)] == ["r:2"]


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".html"])
def test_a_run_that_cannot_begin_costs_nobody_their_results(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    open_writer(path).close(finished=False)
    assert list(tmp_path.iterdir()) == []
    write(path, 0, 1)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    open_writer(path).close(finished=False)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
    write(path, 2)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} != before


def test_an_interrupted_run_is_not_lost_by_starting_afresh(path):
    write(path, 0, finished=False)
    with pytest.raises(OutputError, match=r"holds an interrupted run.*--resume"):
        open_writer(path)
    assert len(rows(path)) == 1


def test_an_error_leaves_the_run_unfinished(path):
    def stopped():
        with open_writer(path, digest="d") as writer:
            writer.write(outcomes(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    with pytest.raises(OutputError, match="interrupted"):
        open_writer(path, digest="d")
    assert len(write(path, 1, resume=True).done) == 1


def test_another_archive_is_refused(path):
    write(path, 0, finished=False)
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"by another archive .*\(d, not e\)"):
        open_writer(path, resume=True, digest="e")
    assert path.read_bytes() == before


def test_rows_of_unknown_origin_are_refused(path):
    path.write_text('{"id": "r:0", "result": 1}\n')
    with pytest.raises(OutputError, match=r"out\.jsonl\.run beside it"):
        open_writer(path, resume=True, digest="d")


def test_resuming_nothing_begins(path):
    assert len(write(path, 0, resume=True).done) == 0
    assert len(rows(path)) == 1
    noted = json.loads((path.parent / "out.jsonl.run").read_text())
    assert (noted["digest"], noted["finished"]) == ("d", True)
    assert noted["stamp"] == [path.stat().st_size, path.stat().st_mtime_ns]


def test_two_runs_on_one_output(path):
    with open_writer(path) as writer:
        writer.write(outcomes(0))
        with pytest.raises(OutputError, match="Another run is writing"):
            open_writer(path, resume=True)
        writer.write(outcomes(1))
    assert len(rows(path)) == 2


def test_closing_twice(path):
    with open_writer(path) as writer:
        writer.write(outcomes(0))
        writer.close(finished=False)
    with pytest.raises(OutputError, match="interrupted"):
        open_writer(path)


@pytest.mark.parametrize("name", ["x.txt", "x", "x.jsonl.bak"])
def test_an_ending_that_says_nothing(tmp_path, name):
    with pytest.raises(UsageError, match=r"says no format.* \.jsonl, \.ndjson, \.json, \.csv"):
        open_writer(tmp_path / name)


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        open_writer(tmp_path / "file" / "out.jsonl")
    (tmp_path / "out.jsonl").mkdir()
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        open_writer(tmp_path / "out.jsonl")


def test_a_folder_that_is_missing_is_made(tmp_path):
    write(tmp_path / "a" / "b" / "out.jsonl", 0)
    assert len(rows(tmp_path / "a" / "b" / "out.jsonl")) == 1


def test_a_full_disk_keeps_whole_rows_and_can_be_resumed(path, tmp_path):
    """A limit on the file's size stops a write in its middle, as a full disk does."""
    code = f"""
        import resource, signal, sys
        from mar_core import Outcome, OutputError
        from mar_core.run.writers import open_writer
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
        writer = open_writer({str(path)!r}, digest="d")
        try:
            for n in range(1000):
                writer.write([Outcome(index=n, id=f"r:{{n}}", result="x" * 300)])
        except OutputError as error:
            print(error)
            writer.close(finished=False)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert "There is no room left" in done.stdout
    assert "--resume" in done.stdout
    found = rows(path)
    assert [row["id"] for row in found] == [f"r:{n}" for n in range(len(found))]
    assert len(write(path, 999, resume=True).done) == len(found) > 20


@pytest.mark.parametrize("seed", range(6))
def test_kill_9_at_a_random_moment(path, seed):
    """Whatever instant it hits, resuming gives each row exactly once."""
    code = f"""
        import sys
        from mar_core import Outcome
        from mar_core.run.writers import open_writer
        with open_writer({str(path)!r}, resume=True, digest="d") as writer:
            print("ready", flush=True)
            for n in range(3000):
                if f"r:{{n}}" not in writer.done:
                    writer.write([Outcome(index=n, id=f"r:{{n}}", result="x" * (n % 97))])
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        try:
            child.wait(random.Random(seed).uniform(0, 0.06))
        except subprocess.TimeoutExpired:
            child.kill()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert [row["id"] for row in rows(path)] == [f"r:{n}" for n in range(3000)]


@pytest.fixture
def journal(path):
    journal = Journal(path, parse=parse)
    journal.begin(keep=False)
    yield journal
    journal.close()


def descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_what_has_no_room_is_taken_off_again(journal, path):
    journal.append(b"whole\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OutputError, match="There is no room left"):
            journal.append(b"too long\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert path.read_bytes() == b"whole\n"
    journal.append(b"more\n")
    assert path.read_bytes() == b"whole\nmore\n"


def test_a_system_that_takes_a_part_at_a_time(journal, path, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, rest, offset: real(file, rest[:3], offset))
    journal.append(b"0123456789\n")
    journal.append(b"more\n")
    assert path.read_bytes() == b"0123456789\nmore\n"


def test_rows_reach_the_disk_every_few_seconds(journal, monkeypatch):
    synced, real, later = [], os.fsync, time.monotonic() + 60
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(real(file)))
    journal.append(b"a\n")
    assert len(synced) == 0
    with monkeypatch.context() as patched:
        patched.setattr(time, "monotonic", lambda: later)
        for _ in range(2):  # the first of them is late
            journal.append(b"a\n")
    assert len(synced) == 1


def test_how_many_rows_of_before_are_failures(path):
    no = Failure(stage="handle", type="ValueError", message="no")
    with open_writer(path, digest="d") as writer:
        writer.write([*outcomes(0, 1, 2), Outcome(index=3, id="r:3", failure=no)])
    with open_writer(path, resume=True, digest="d") as writer:
        assert writer.failed_before == 1


@pytest.mark.parametrize(("before", "during"), [(b"", None), (b"rows\n", None), (None, b"rows\n")])
def test_a_file_that_was_there_or_got_rows_is_not_taken_away(path, before, during):
    if before is not None:
        path.write_bytes(before)
    journal = Journal(path, parse=parse)
    if during is not None:
        path.write_bytes(during)
    journal.forget()
    assert path.read_bytes() == (during or before)


@pytest.mark.parametrize("gone", [True, False])
def test_a_file_that_is_new_and_empty_is_taken_away(path, gone):
    journal = Journal(path, parse=parse)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()
    if gone:
        path.unlink()
    journal.forget()
    assert not path.exists()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_an_output_that_another_run_takes_away_when_it_is_done_is_made_anew(path, monkeypatch):
    real, open_before = Journal._lock, descriptors()

    def done_just_now(self, descriptor):
        real(self, descriptor)
        if not taken:
            taken.append(path.unlink())

    taken = []
    monkeypatch.setattr(Journal, "_lock", done_just_now)
    journal = Journal(path, parse=parse)
    journal.begin(keep=False)
    journal.append(b"mine\n")
    assert path.read_bytes() == b"mine\n"
    with pytest.raises(OutputError, match="Another run is writing"):
        Journal(path, parse=parse)
    assert descriptors() == open_before + 1
    journal.close()


def test_a_reader_sees_whole_rows(path):
    """Whatever is there while a run writes ends with a line's end."""
    journal = Journal(path, parse=parse)
    journal.begin(keep=False)
    for size in (10, 3000, 4096, 70_000):
        journal.append(b'{"id": "%s"}\n' % (b"x" * size))
        assert path.read_bytes().endswith(b"\n")
    journal.close()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(), unique=True), st.lists(st.text()))
def test_done_ids(there, asked):
    done = DoneIds(there)
    assert len(done) == len(there)
    assert all(name in done for name in there)
    assert [name in done for name in asked] == [name in there for name in asked]
    assert None not in done


def test_done_ids_whose_first_halves_are_one(monkeypatch):
    monkeypatch.setattr(
        "mar_core.run.writers.journal._digest", lambda name: name.encode().rjust(16)
    )
    done = DoneIds("bdfh")
    assert [name in done for name in "abcdefghi"] == [name in "bdfh" for name in "abcdefghi"]
    assert "long-before-half-a" not in done


def test_done_ids_take_16_bytes_each():
    done = DoneIds(f"rows.jsonl:{n}" for n in range(100_000))
    assert done._highs.nbytes + done._lows.nbytes == 1_600_000
    assert "rows.jsonl:99999" in done
    assert "rows.jsonl:100000" not in done


def test_limits_are_as_they_were():
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
