"""What an output file is before a run, and what a run may do to it."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from mar_core import Outcome, OutputError, RunSummary, UsageError, WriteOptions, Writer
from mar_core.run.writers import open_writer
from mar_core.run.writers.files import NOTE_SECONDS, FileOutput
from mar_core.run.writers.journal import RunState

if TYPE_CHECKING:
    from pathlib import Path

ENDINGS = pytest.mark.parametrize("ending", [".jsonl", ".csv"])


def outcome(name):
    return Outcome(index=0, id=name, result=1)


def write(path, *names, finished=True, **how):
    writer = open_writer(path, **how)
    if names:
        writer.write([outcome(name) for name in names])
    writer.close(finished=finished)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(path, **how):
    """Why an output is not opened; nothing changes."""
    before = files(path.parent)
    with pytest.raises(OutputError) as caught:
        open_writer(path, **how)
    assert files(path.parent) == before
    return str(caught.value)


@ENDINGS
@pytest.mark.parametrize("strange", ["", ".run", ".part"])
def test_what_mar_did_not_write_stays(tmp_path, ending, strange):
    path, other = tmp_path / f"out{ending}", tmp_path / f"out{ending}{strange}"
    if ending == ".jsonl" and strange == ".part":
        return  # such an output has none
    other.write_bytes(b"!")
    assert f"{other} is there, and mar did not write it" in refused(path)
    other.write_bytes(b"")
    write(path, "first", finished=False)
    (tmp_path / f"out{ending}.run").unlink()
    assert "mar did not write it" in refused(path)
    write(path, "second", force=True)
    assert (b"first" in path.read_bytes(), b"second" in path.read_bytes()) == (False, True)


@ENDINGS
def test_a_part_beside_a_finished_output_is_somebody_elses(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    write(path, "a")
    (tmp_path / f"out{ending}.part").write_text("mine")
    if ending == ".csv":
        assert ".csv.part is there, and mar did not write it" in refused(path)
    else:
        write(path, "b")
        assert (tmp_path / "out.jsonl.part").read_text() == "mine"


@ENDINGS
def test_an_output_that_was_changed_since_stays(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    write(path, "a")
    write(path, "b")
    path.write_bytes(path.read_bytes() + b"more\n")
    assert "has been changed since mar wrote it" in refused(path)
    if ending == ".jsonl":  # what is no whole row is taken off
        path.write_bytes(path.read_bytes().removesuffix(b"more\n") + b'{"id": "torn"')
        write(path, "b2", resume=True)
        assert [json.loads(row)["id"] for row in path.read_text().splitlines()] == ["b", "b2"]
    path.write_bytes(b"")
    write(path, "c")


@ENDINGS
def test_an_interrupted_run_is_replaced_by_force_alone(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    write(path, "first", finished=False)
    assert "holds an interrupted run" in refused(path)
    write(path, "second", force=True)
    assert b"second" in path.read_bytes()
    assert b"first" not in path.read_bytes()
    write(path, "third", finished=False, force=ending == ".jsonl")
    write(path, "fourth", resume=True)
    assert b"third" in path.read_bytes()
    assert b"fourth" in path.read_bytes()


@ENDINGS
def test_a_run_that_was_interrupted_before_its_first_row_is_none(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    RunState(digest="d", finished=False, begun=1).save(path)
    write(path, "a", digest="e", resume=ending == ".jsonl")
    assert b"a" in path.read_bytes()


def test_an_interrupted_run_that_would_replace_a_document_can_be_resumed(tmp_path):
    path = tmp_path / "out.csv"
    write(path, "first")
    write(path, "second", finished=False)
    assert b"first" in path.read_bytes()
    write(path, "third", resume=True)
    assert [word in path.read_bytes() for word in (b"first", b"second", b"third")] == [0, 1, 1]


def test_a_finished_document_is_not_added_to(tmp_path):
    path = tmp_path / "out.csv"
    write(path, "a", resume=True)
    assert "a finished .csv cannot be added to" in refused(path, resume=True)
    path.write_bytes(b"")
    write(path, "b", resume=True)
    assert b"b" in path.read_bytes()


@ENDINGS
def test_a_run_without_inputs_leaves_an_output_without_rows(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    for names in ((), ("a",), ()):
        write(path, *names)
        assert (b"\na," in path.read_bytes() or b'"a"' in path.read_bytes()) == bool(names)
        assert json.loads((tmp_path / f"out{ending}.run").read_text())["finished"]


def test_what_is_no_ordinary_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "out.jsonl")
    for how in ({}, {"force": True}):
        with pytest.raises(OutputError, match=r"cannot be written: it is no ordinary file\."):
            open_writer(tmp_path / "out.jsonl", **how)


@ENDINGS
def test_what_a_killed_run_left_half_written_goes_with_the_first_row(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    left, other = (tmp_path / f".{name}.0123abcd.mar-partial" for name in (path.name, "other.csv"))
    for file in (left, other):
        file.write_text("half")
    writer = open_writer(path)
    assert left.exists()
    writer.write([outcome("a")])
    writer.close()
    assert (left.exists(), other.exists()) == (False, True)


class Lines(Writer):
    """Writes ids, with what a format of lines may have besides."""

    name, endings, streams = "lines", (".lines",), True
    fails: Exception | None = None

    def write(self, rows, stream, options):
        if self.fails is not None:
            raise self.fails
        stream.writelines(f"{row['id']}\n".encode() for row in rows())

    def head(self, options):
        return b"# head\n"

    def note(self, summary):
        return f"# {summary.total}\n".encode() if summary.total else b""


class Resumed(Lines):
    resumes = True

    def parse(self, line):
        return {} if line.startswith(b"#") else {"id": line.decode().strip()}


class Whole(Lines):
    streams = False


def opened(path: Path, writer, *, resume=False, **how):
    options = how.pop("options", WriteOptions())
    return FileOutput(path, writer=writer, options=options, resume=resume, digest="d", **how)


def test_a_head_is_written_once_and_notes_at_times_and_at_the_end(tmp_path, monkeypatch):
    path, summary, now = tmp_path / "out.lines", RunSummary(model="m"), [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with opened(path, Resumed(), summary=summary) as output:
        for number in range(4):
            summary.total += 1
            now[0] += NOTE_SECONDS if number == 3 else NOTE_SECONDS * 0.4
            output.write([outcome(f"{number}")])
    text = "# head\n0\n1\n2\n# 3\n3\n# 4\n"
    assert path.read_text() == text
    summary.total = 0  # says nothing
    with opened(path, Resumed(), summary=summary, resume=True) as output:
        assert (len(output.done), "3" in output.done) == (4, True)
        output.write([outcome("4")])
    assert path.read_text() == f"{text}4\n"


def test_an_interrupted_run_notes_how_far_it_is(tmp_path):
    path, summary = tmp_path / "out.lines", RunSummary(model="m", total=1)
    output = opened(path, Resumed(), summary=summary)
    output.write([outcome("0")])
    output.close(finished=False)
    assert path.read_text() == "# head\n0\n# 1\n"


def test_a_whole_document_is_its_writers_alone(tmp_path):
    path = tmp_path / "out.lines"
    with opened(path, Whole(), summary=RunSummary(model="m", total=1)) as output:
        output.write([outcome("0")])
        assert (tmp_path / "out.lines.part").read_text().startswith('{"id": "0"')
    assert path.read_text() == "0\n"


@pytest.mark.parametrize("kind", [Lines, Whole])
def test_a_writer_that_fails_is_named(tmp_path, kind):
    writer = kind()
    writer.fails = ValueError("boom")
    with (
        pytest.raises(
            OutputError, match=r"^The writer 'lines' failed: ValueError: boom\. The rows"
        ),
        opened(tmp_path / "out.lines", writer) as output,
    ):
        output.write([outcome("0")])
    told = writer.fails = OutputError("no ink")
    with (
        pytest.raises(OutputError) as caught,
        opened(tmp_path / "other.lines", writer) as output,
    ):
        output.write([outcome("0")])
    assert caught.value is told


def test_what_a_format_cannot_do_is_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "out.lines"
    with pytest.raises(UsageError, match=r"out\.lines cannot be resumed\. A \.jsonl can\."):
        opened(path, Lines(), resume=True)
    with pytest.raises(UsageError, match=r"--flat is for tables, and .*out\.lines is no table"):
        opened(path, Resumed(), options=WriteOptions(flat=True))
    assert list(tmp_path.iterdir()) == []
    with opened(path, Lines()) as output:
        output.write([outcome("0")])
    write(tmp_path / "out.csv", "0", options=WriteOptions(flat=True))


class Picky(Lines):
    def check(self, options):
        raise UsageError("It lacks a package.")


def test_a_format_says_itself_what_it_lacks(tmp_path):
    with pytest.raises(UsageError, match="It lacks a package"):
        opened(tmp_path / "out.lines", Picky())
    assert list(tmp_path.iterdir()) == []


@ENDINGS
def test_rows_are_on_the_disk_when_somebody_waits_for_it_and_at_the_end(
    tmp_path, monkeypatch, ending
):
    synced, real = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(real(file)))
    output = open_writer(tmp_path / f"out{ending}")
    output.write([outcome("0")])
    before = len(synced)
    output.flush()
    assert len(synced) == before + 1
    output.close(finished=False)
    assert len(synced) == before + 2
