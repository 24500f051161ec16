"""A whole run in this process: what is run, what is skipped, when it stops, what it came to."""

from __future__ import annotations

import dataclasses
import gc
import io
import json
from pathlib import Path

import pytest

from mar_core import MarError, MarWarning, Recipe, RunSummary, UsageError, WriteOptions
from mar_core.records import ReadOptions, RunOptions
from mar_core.run import session
from mar_core.run.session import Job, execute, interrupted_line
from mar_core.testing import make_archive

HANDLER = """
import os, signal


def handle(data, context):
    if data is None:
        return None
    return [one(row["body"]) for row in data]


def one(row):
    if row.get("stop"):
        os.kill(os.getpid(), signal.SIGINT)
    return {"n": 1 / row["n"], "label": row.get("label")}
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("session")
    (folder / "handler.py").write_text(HANDLER)
    return make_archive(folder, handler=folder / "handler.py", model_name="inverse")


@pytest.fixture
def job(tmp_path, archive):
    """A job on ``in.jsonl``, whose rows are written by ``give``."""
    running = RunOptions(workers=0)
    source = str(tmp_path / "in.jsonl")
    return Job(recipe=Recipe(source=archive), sources=(source,), running=running, quiet=True)


@pytest.fixture
def give(tmp_path):
    def write(*rows):
        (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    return write


def ns(*numbers):
    return [{"n": number} for number in numbers]


def ran(job, **changes):
    """The summary of a run, and the rows on standard output."""
    stream = io.StringIO()
    summary = execute(dataclasses.replace(job, **changes), stream=stream)
    return summary, [json.loads(line) for line in stream.getvalue().splitlines()]


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def descriptors():
    gc.collect()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_what_it_comes_to(job, give):
    give(*ns(1, 2, 0, 4))
    ran(job)  # what is opened once stays open
    before = descriptors()
    summary, found = ran(job)
    assert [row.get("result", {}).get("n") for row in found] == [1, 0.5, None, 0.25]
    assert (summary.model, summary.total, summary.succeeded, summary.failed) == ("inverse", 4, 3, 1)
    assert (summary.finished, summary.interrupted, summary.skipped) == (True, False, 0)
    assert 0 < summary.seconds < 3600
    assert descriptors() == before
    assert len(ran(job, limit=2)[1]) == 2


def test_after_a_failure_it_goes_on_unless_that_is_not_wanted(job, give):
    give(*ns(1, 0, 2))
    running = dataclasses.replace(job.running, fail_fast=True)
    summary, found = ran(job, running=running)
    assert (len(found), summary.total, summary.finished) == (2, 2, False)
    assert not summary.interrupted
    give(*ns(1, 2))
    assert ran(job, running=running)[0].finished


def test_the_traceback_is_shown_to_who_asks_for_it(job, give, capsys):
    give(*ns(1, 0))
    ran(job)
    assert capsys.readouterr().err == ""
    _, found = ran(job, verbose=True)
    told = capsys.readouterr().err
    assert told.startswith(f"{found[1]['id']}:\n")
    assert "ZeroDivisionError" in told


def test_ctrl_c_ends_it_after_what_is_at_work_and_it_is_taken_up_again(job, give, tmp_path):
    output = tmp_path / "out.jsonl"
    give({"n": 1}, {"n": 2, "stop": True}, {"n": 4}, {"n": 8})
    summary, _ = ran(job, output=output)
    assert (summary.interrupted, summary.finished) == (True, False)
    done = len(rows(output))
    assert 1 <= done < 4
    assert interrupted_line(summary, output).endswith("Go on with the same command and --resume.")
    summary, _ = ran(job, output=output, resume=True)
    while summary.interrupted:  # where the one that asks for it had not been written down
        summary, _ = ran(job, output=output, resume=True)
    assert (summary.finished, summary.skipped + summary.total) == (True, 4)
    assert [row["result"]["n"] for row in rows(output)] == [1, 0.5, 0.25, 0.125]


def test_what_was_done_before_is_skipped(job, give, tmp_path):
    output = tmp_path / "out.jsonl"
    give(*ns(1, 0, 4))
    ran(job, output=output, limit=2)
    summary, _ = ran(job, output=output, resume=True)
    assert (summary.skipped, summary.total, summary.failed_before) == (2, 1, 1)
    give(*ns(1, 0, 4))
    with pytest.warns(MarWarning, match=r"in\.jsonl.* starts afresh"):
        ran(job, output=output, resume=True)
    assert [row["id"] for row in rows(output)] == [f"{job.sources[0]}:{n}" for n in (1, 2, 3)]
    with pytest.raises(MarError, match="was made by another archive or in another way"):
        ran(job, output=output, resume=True, reading=ReadOptions(column="n"))


def test_nothing_is_opened_of_a_run_that_would_write_over_what_it_reads(job, give, tmp_path):
    give(*ns(1))
    source = Path(job.sources[0])
    status = source.stat()
    truth, metrics = tmp_path / "truth.csv", tmp_path / "metrics.yaml"
    recipe = dataclasses.replace(job.recipe, metrics_config=metrics)
    for path in (truth, metrics):
        path.write_text("{}\n")
    listed = tmp_path / "list.txt"
    listed.write_text(f"{source}\n")
    for changes in (
        {"output": source},
        {"streams": frozenset({(status.st_dev, status.st_ino)})},
        {
            "running": dataclasses.replace(job.running, output_dir=tmp_path),
            "sources": (str(tmp_path),),
        },
        {"sources": (), "uploads": (str(source),), "output": source},
        {"sources": (f"@{listed}",), "output": source},
        {"truth": str(truth), "output": truth},
        {"recipe": recipe, "output": metrics},
    ):
        with pytest.raises(UsageError, match="read and written by one run"):
            ran(job, **changes)
    assert source.read_text() == '{"n": 1}\n'


def test_columns_truth_and_what_it_makes_of_them(job, give):
    give({"n": 1, "label": "cat"}, {"n": 2, "label": None})
    keep = {"reading": ReadOptions(keep=("n", "label"))}
    _, found = ran(job, writing=WriteOptions(keep=("n",)), **keep)
    assert [row["input"] for row in found] == [{"n": 1}, {"n": 2}]
    assert "input" not in ran(job)[1][0]


def test_how_many_are_right_and_how_many_nobody_can_judge(tmp_path, archive, job):
    (tmp_path / "handler.py").write_text(
        "def handle(data, context):\n    return data and [row['body']['says'] for row in data]\n"
    )
    source = make_archive(tmp_path, handler=tmp_path / "handler.py", model_name="says")
    said = [("cat", "cat"), ("cat", "dog"), ("dog", "dog"), ("cat", None)]
    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps({"says": says, "is": truth}) + "\n" for says, truth in said)
    )
    changes = {"recipe": Recipe(source=source), "truth": "is", "reading": ReadOptions(keep=("is",))}
    with pytest.warns(MarWarning, match="1 of 4 inputs without a true label"):
        summary, found = ran(job, **changes)
    assert (summary.judged, summary.right) == (3, 2)
    assert [row.get("input", {}).get("truth") for row in found] == ["cat", "dog", "dog", None]
    with pytest.warns(MarWarning, match="without a true label"):
        again, _ = ran(job, **changes, output=tmp_path / "out.jsonl", limit=4)
    assert (again.judged, again.right) == (3, 2)


def test_a_page_of_results_has_previews_of_inputs(job, give, tmp_path):
    give(*ns(1, 2))
    ran(job, output=tmp_path / "out.html")
    assert '"preview":' in (tmp_path / "out.html").read_text().replace(" ", "")
    ran(job, output=tmp_path / "out.jsonl")
    assert "preview" not in (tmp_path / "out.jsonl").read_text()


def test_plugins_hear_of_its_beginning_and_of_its_end(job, give, monkeypatch):
    class Listening:
        def __init__(self, plugins):
            self.plugins, self.heard = plugins, []

        def __getattr__(self, name):
            return getattr(self.plugins, name)

        def run_started(self, summary):
            self.heard.append(("started", summary.total, summary.finished))

        def run_finished(self, summary):
            self.heard.append(("finished", summary.total, summary.finished))

    listening = Listening(session.get_plugins())
    monkeypatch.setattr(session, "get_plugins", lambda: listening)
    give(*ns(1, 0))
    ran(job)
    assert listening.heard == [("started", 0, False), ("finished", 2, True)]
    listening.heard.clear()
    with pytest.raises(MarError):
        ran(job, recipe=dataclasses.replace(job.recipe, device="cuda:99"))
    assert listening.heard == [("started", 0, False), ("finished", 0, False)]


def test_what_a_killed_run_left_in_the_folder_of_outputs_goes(job, give, tmp_path):
    give(*ns(1))
    folder = tmp_path / "blobs"
    folder.mkdir()
    left = folder / ".x.png.0123abcd.mar-partial"
    left.write_text("half")
    ran(job, running=dataclasses.replace(job.running, output_dir=folder))
    assert not left.exists()


def test_a_run_whose_model_does_not_load_leaves_no_output(job, give, tmp_path):
    give(*ns(1))
    recipe = dataclasses.replace(job.recipe, device="cuda:99")
    with pytest.raises(MarError, match="cuda:99"):
        ran(job, recipe=recipe, output=tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("summary", "output", "line"),
    [
        (RunSummary(model="m"), "out.jsonl", "mar: interrupted; 0 inputs done."),
        (RunSummary(model="m", total=1), None, "mar: interrupted; 1 input done."),
        (RunSummary(model="m", total=1000, skipped=1), "out.jsonl",
         "mar: interrupted; 1,001 inputs done. Go on with the same command and --resume."),
    ],
)  # fmt: skip
def test_what_is_said_when_it_was_stopped(summary, output, line):
    assert interrupted_line(summary, output and Path(output)) == line
