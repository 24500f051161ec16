"""What a run says of itself: its summary, how workers die, what it would do."""

from __future__ import annotations

from pathlib import Path

import pytest

from mar_core import Failure, Outcome, Recipe, RunSummary, UsageError
from mar_core.records import RunOptions
from mar_core.run.command import summary_lines
from mar_core.run.dry import describe_run, description_lines
from mar_core.run.planning import Asked, job_of
from mar_core.run.session import Job, count, interrupted_line
from mar_core.testing import make_archive


def outcome(kind=None):
    failure = Failure(stage="inference", type=kind, message="no") if kind else None
    return Outcome(index=0, id="x", failure=failure)


def test_a_summary_counts_errors_by_kind():
    summary = RunSummary(model="m", skipped=1000, seconds=4.0)
    for kind in (None, "ValueError", None, "KeyError", "ValueError"):
        count(summary, outcome(kind))
    summary.stage_seconds = {"inference": 3.25, "read": 0.25, "preprocess": 0.0001}
    assert (summary.total, summary.succeeded, summary.failed) == (5, 2, 3)
    assert summary_lines(summary) == [
        "m: 5 inputs in 4.0 s, 1.2 a second; 2 succeeded, 3 failed, 1,000 done before",
        "  2 x inference/ValueError",
        "  1 x inference/KeyError",
        "  time: read 250 ms, inference 3.2 s",
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0123, "12 ms"),
        (1.26, "1.3 s"),
        (59.94, "59.9 s"),
        (61.2, "1 min 1 s"),
        (3600, "60 min 0 s"),
    ],
)
def test_times_are_short(seconds, said):
    summary = RunSummary(model="m", total=1, succeeded=1, seconds=seconds)
    assert summary_lines(summary)[0].startswith(f"m: 1 input in {said}, ")


def test_a_run_of_nothing():
    assert summary_lines(RunSummary(model="m")) == ["m: 0 inputs in 0 ms; 0 succeeded, 0 failed"]


def test_what_is_said_of_an_interrupted_run(tmp_path):
    summary = RunSummary(model="m", total=2, skipped=1)
    assert interrupted_line(summary, None) == "mar: interrupted; 3 inputs done."
    line = interrupted_line(summary, tmp_path / "x.jsonl")
    assert line == "mar: interrupted; 3 inputs done. Go on with the same command and --resume."


def test_a_dry_run(tmp_path):
    handler = tmp_path / "h.py"
    handler.write_text("raise SystemExit('imported')\ndef handle(data, context): ...\n")
    archive = make_archive(tmp_path, handler=handler, config={"batchSize": 8}, model_name="m")
    for number in range(7):
        (tmp_path / f"{number}.txt").write_text("x")
    job = Job(
        recipe=Recipe(source=archive, device="cpu"),
        sources=(f"{tmp_path}/*.txt",),
        running=RunOptions(timeout=3.0),
        limit=6,
    )
    found = describe_run(job)
    assert (found["batch_size"], found["workers"], found["inputs"]) == (8, 1, 6)
    lines = description_lines(found)
    assert lines[:6] == [
        "model       m 1.0",
        "handler     h.py (a file of the archive)",
        "environment mar's own",
        "device      cpu",
        "engine      local, in 1 worker process",
        "batch size  8",
    ]
    assert lines[6].startswith(f"inputs      6: {tmp_path}/0.txt, {tmp_path}/1.txt")
    assert lines[6].endswith("4.txt, …")


def test_the_first_word_is_the_archive_unless_a_handler_is_named():
    job = job_of(Asked(words=("m.mar", "a", "b")))
    assert (str(job.recipe.source), job.sources) == ("m.mar", ("a", "b"))
    job = job_of(Asked(words=("m.mar", "a", "b"), handler="my handler.py:Cls"))
    assert job.sources == ("m.mar", "a", "b")
    assert job.recipe.source.model_name == "my_handler"
    job = job_of(Asked(words=("a",), handler="h", model_file=Path("net.py")))
    assert job.recipe.source.model_name == "net"


def test_a_form_takes_the_place_of_inputs():
    job = job_of(Asked(words=("m.mar",), form=("a=1", "b=@x,y"), header=("X-Id: 1",)))
    assert [field.name for field in job.form] == ["a", "b", "b"]
    assert job.reading.headers == {"X-Id": "1"}


@pytest.mark.parametrize(("text", "size"), [(None, None), ("auto", "auto"), ("12", 12)])
def test_batch_sizes(text, size):
    words = ("m.mar", "a")
    assert job_of(Asked(words=words, batch_size=text)).running.batch_size == size


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "AUTO", "", "ten"])
def test_what_is_no_batch_size(text):
    with pytest.raises(UsageError, match="is no size"):
        job_of(Asked(words=("m.mar", "a"), batch_size=text))
