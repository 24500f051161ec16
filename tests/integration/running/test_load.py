"""``mar_core.load``: in a notebook, in threads, and as a recipe that travels."""

from __future__ import annotations

import concurrent.futures
import io
import multiprocessing
import pickle
import threading
from pathlib import Path

import pytest

from mar_core import Failure, HandlerError, Input, UsageError, load
from mar_core.build.request import ArchiveRequest
from mar_core.testing import make_archive

SOURCE = """
import os, threading, time

class Counts:
    def __init__(self):
        self.inside = 0
        self.open = True

    def initialize(self, context):
        self.process = os.getpid()

    def handle(self, data, context):
        self.inside += 1
        assert self.inside == 1, "two threads are in the handler at once"
        ids = [context.get_request_id(at) for at in range(len(data))]
        time.sleep(0.001)
        self.inside -= 1
        if any(row["body"] == "bad" for row in data):
            raise ValueError("bad")
        return [[row["body"], name, self.process] for row, name in zip(data, ids)]

    def teardown(self):
        print("torn down", self.open)
        self.open = False
"""


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "counts.py"
    path.write_text(SOURCE)
    return make_archive(tmp_path, handler=path, model_name="counts")


def test_threads_take_turns(archive):
    with load(archive, batch_size=3) as model, concurrent.futures.ThreadPoolExecutor(8) as pool:
        words = [[f"{n}-{at}" for at in range(7)] for n in range(40)]
        answers = list(pool.map(model.predict, words))
    for asked, answered in zip(words, answers, strict=True):
        assert [answer[0] for answer in answered] == asked
        assert [answer[1] for answer in answered] == [str(at) for at in range(7)]


def test_an_error_in_one_thread_is_its_own(archive):
    with load(archive) as model, concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(model.predict, ["bad" if n % 5 == 0 else "good"]) for n in range(40)]
        found = [type(one.exception()) for one in asked]
    assert found == [HandlerError if n % 5 == 0 else type(None) for n in range(40)]


def test_a_failure_may_be_returned(archive):
    with load(archive, batch_size=4) as model:
        first, bad, last = model.predict(["a", "bad", "c"], on_error="return")
        assert (first[0], last[0]) == ("a", "c")
        assert isinstance(bad, Failure)
        assert (bad.type, bad.stage) == ("ValueError", "inference")
        with pytest.raises(HandlerError, match="Input 1 failed in inference: ValueError: bad"):
            model.predict(["a", "bad", "c"])


def answer(model):
    """What another process does with what was sent to it."""
    with model:
        return model.predict(["there"])


def test_it_travels_as_a_recipe(archive):
    with load(archive, batch_size=2, device="cpu") as model:
        assert len(pickle.dumps(model)) < 2000
        copy = pickle.loads(pickle.dumps(model))
        with copy:
            assert copy.recipe == model.recipe
            assert copy.batch_size == 2
            assert copy.predict(["x"])[0][0] == "x"
        here = model.predict(["here"])[0]
        spawn = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
            there = pool.submit(answer, model).result(timeout=60)[0]
    assert (here[0], there[0]) == ("here", "there")
    assert here[2] != there[2], "the other process has a handler of its own"


def test_what_was_never_packed(archive):
    source = archive.parent / "counts.py"
    request = ArchiveRequest(model_name="counts", handler=str(source))
    with load(request) as model:
        assert model.predict(["x"])[0][0] == "x"
        assert repr(model).startswith("<Predictor counts (counts.py) from ArchiveRequest(")


def test_closing_waits_for_who_is_inside_and_happens_once(archive, capsys):
    model = load(archive)
    threads = [threading.Thread(target=model.predict, args=(["x"] * 5,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    model.close()
    model.close()
    assert capsys.readouterr().out == "torn down True\n"
    with pytest.raises(HandlerError, match="counts is closed"):
        model.predict(["x"])


@pytest.mark.parametrize(
    "one",
    [
        "abc", b"\x89PNG", bytearray(b"x"), Path("7.png"), {"data": 1},
        Input(id="x", read=dict), 3, None, io.BytesIO(b"one\ntwo\n"),
    ],
    ids=lambda one: type(one).__name__,
)  # fmt: skip
def test_one_input_is_no_list_of_inputs(archive, one):
    """A text would be asked about letter by letter, and each letter answered."""
    with load(archive) as model, pytest.raises(UsageError, match="Put it in a list"):
        model.predict(one)


def test_a_picture_is_no_list_of_inputs(archive):
    image = pytest.importorskip("PIL.Image").new("L", (2, 2))
    with load(archive) as model, pytest.raises(UsageError, match="Put it in a list"):
        model.predict(image)
