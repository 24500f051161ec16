"""The hooks that watch: they see everything and harm nothing."""

from __future__ import annotations

import json

import pytest
from environments import Environment, distribution

from mar_core import HandlerError, hookimpl
from mar_core.testing import make_archive, plugin, run_archive

HANDLER = """
def handle(data, context):
    if data is None:
        return None
    if any(row["data"] == "bad" for row in data):
        raise ValueError("bad row")
    context.metrics.add_counter("Rows", len(data))
    return [row["data"] for row in data]
"""


@pytest.fixture
def archive(tmp_path):
    handler = tmp_path / "handler.py"
    handler.write_text(HANDLER)
    return make_archive(tmp_path, handler=handler, model_name="rows", config={"batchSize": 2})


class Watches:
    def __init__(self):
        self.stages = []
        self.metrics = []

    @hookimpl
    def mar_stage_finished(self, model, stage, seconds, size, error):
        assert seconds >= 0
        self.stages.append((model, stage, size, type(error).__name__ if error else None))

    @hookimpl
    def mar_metric_recorded(self, model, metric):
        self.metrics.append((model, metric.name, metric.value))


class Crashes:
    @hookimpl
    def mar_stage_finished(self):
        raise RuntimeError("out of order")

    @hookimpl
    def mar_metric_recorded(self):
        raise RuntimeError("out of order")


def test_hook_mar_stage_finished(archive):
    with plugin(Watches()) as watches:
        assert run_archive(archive, [{"data": text} for text in "abc"]) == ["a", "b", "c"]
    assert watches.stages == [
        ("rows", "initialize", 0, None),
        ("rows", "preprocess", 2, None),
        ("rows", "inference", 2, None),
        ("rows", "postprocess", 2, None),
        ("rows", "preprocess", 1, None),
        ("rows", "inference", 1, None),
        ("rows", "postprocess", 1, None),
        ("rows", "teardown", 0, None),
    ]


def test_hook_mar_stage_finished_sees_errors(archive):
    with plugin(Watches()) as watches, pytest.raises(HandlerError):
        run_archive(archive, [{"data": "bad"}])
    assert ("rows", "inference", 1, "ValueError") in watches.stages


def test_hook_mar_stage_finished_that_crashes_is_logged(archive, caplog):
    with plugin(Watches()) as watches, plugin(Crashes()):
        assert run_archive(archive, [{"data": "a"}]) == ["a"]
    assert len(watches.stages) == 5
    assert "The plugin Crashes failed in mar_stage_finished: RuntimeError" in caplog.text


def test_hook_mar_metric_recorded(archive):
    with plugin(Watches()) as watches, plugin(Crashes()):
        run_archive(archive, [{"data": text} for text in "abc"])
    assert [metric for metric in watches.metrics if metric[1] == "Rows"] == [
        ("rows", "Rows", 2),
        ("rows", "Rows", 1),
    ]


PLUGIN = """
    import json, os
    from mar_core import hookimpl

    def note(**facts):
        with open(os.environ["NOTES"], "a") as stream:
            stream.write(json.dumps({"pid": os.getpid(), **facts}) + "\\n")

    @hookimpl
    def mar_run_started(summary):
        os.environ["SET_AT_THE_START"] = "yes"
        note(hook="started", model=summary.model, total=summary.total)

    @hookimpl
    def mar_stage_finished(stage, size):
        note(hook="stage", stage=stage, inherited=os.environ.get("SET_AT_THE_START"))

    @hookimpl
    def mar_run_finished(summary):
        note(
            hook="finished", total=summary.total, succeeded=summary.succeeded,
            errors=dict(summary.errors),
        )
"""


@pytest.fixture(scope="module")
def watched_run(tmp_path_factory):
    """``mar run --workers 1`` in an environment with a plugin that writes down what it sees."""
    folder = tmp_path_factory.mktemp("watched")
    environment = Environment.create(folder / "env")
    environment.install(
        distribution(
            folder / "sources",
            "dist-notes",
            files={"dist_notes.py": PLUGIN},
            plugins={"notes": "dist_notes"},
        )
    )
    (folder / "handler.py").write_text(HANDLER)
    archive = make_archive(folder, handler=folder / "handler.py", model_name="rows")
    (folder / "rows.jsonl").write_text('{"data": "a"}\n{"data": "bad"}\n{"data": "c"}\n')
    done = environment.mar(
        *("run", archive, folder / "rows.jsonl", "--workers", "1", "--json"),
        NOTES=str(folder / "notes.jsonl"),
    )
    assert done.returncode == 1, done.stderr
    return [json.loads(line) for line in (folder / "notes.jsonl").read_text().splitlines()]


def test_hook_mar_run_started(watched_run):
    first = watched_run[0]
    assert (first["hook"], first["model"], first["total"]) == ("started", "rows", 0)
    assert [note["hook"] for note in watched_run].count("started") == 1
    stages = [note for note in watched_run if note["hook"] == "stage"]
    assert {note["inherited"] for note in stages} == {"yes"}, "workers inherit what it sets"
    assert first["pid"] not in {note["pid"] for note in stages}


def test_hook_mar_run_finished(watched_run):
    finished = [note for note in watched_run if note["hook"] == "finished"]
    assert len(finished) == 1
    assert finished[0]["pid"] == watched_run[0]["pid"]
    assert (finished[0]["total"], finished[0]["succeeded"]) == (3, 2)
    assert finished[0]["errors"] == {"inference/ValueError": 1}
