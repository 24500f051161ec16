"""Worker processes that stay from one call to the next, as engines of other machines use them."""

from __future__ import annotations

import functools

import pytest

from mar_core import HandlerError, Input, LocalWorkers, Recipe, RunOptions
from mar_core.testing import make_archive

HANDLER = """
import os, signal

def handle(data, context):
    if not data:
        return None
    for row in data:
        if row["data"] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
    return [{"pid": os.getpid(), "value": row["data"], "batch": len(data)} for row in data]
"""


def row(value):
    return Input(id=str(value), read=functools.partial(dict, data=value))


@pytest.fixture
def workers(tmp_path):
    (tmp_path / "handler.py").write_text(HANDLER)
    archive = make_archive(tmp_path, handler=tmp_path / "handler.py")
    made = []

    def make(**options):
        made.append(LocalWorkers(Recipe(source=archive), RunOptions(**options)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_one_process_answers_call_after_call(workers):
    ours = workers(batch_size=4)
    first, second = ours.run([row(n) for n in range(10)]), ours.run([row(n) for n in range(3)])
    assert [outcome.result["value"] for outcome in first] == list(range(10))
    assert [outcome.result["batch"] for outcome in first] == [4] * 8 + [2] * 2
    assert [outcome.result["batch"] for outcome in second] == [3] * 3
    assert [outcome.index for outcome in first + second] == list(range(13))
    assert len({outcome.result["pid"] for outcome in first + second}) == 1
    assert ours.summary.batches == 4
    assert ours.summary.stage_seconds["inference"] > 0


def test_nothing_is_answered_by_nothing(workers):
    assert workers().run([]) == []


def test_a_death_costs_its_input_and_the_next_call_is_answered(workers):
    ours = workers()
    before, killed, after = ours.run([row(1), row("kill"), row(2)])
    assert killed.failure.type == "MemoryError"
    assert (before.result["value"], after.result["value"]) == (1, 2)
    assert before.result["pid"] != after.result["pid"]
    assert ours.run([row(3)])[0].result["value"] == 3


def test_what_cannot_be_loaded_is_said_when_something_is_asked(tmp_path):
    (tmp_path / "handler.py").write_text("import not_there\n" + HANDLER)
    archive = make_archive(tmp_path, handler=tmp_path / "handler.py")
    ours = LocalWorkers(Recipe(source=archive), RunOptions())
    with pytest.raises(HandlerError, match="not_there"):
        ours.run([row(1)])
    ours.close()
