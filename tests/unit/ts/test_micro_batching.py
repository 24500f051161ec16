"""Micro-batching: order, overlap, and a bad item that does not block."""

from __future__ import annotations

import gc
import threading
import time

import pytest

from mar_core import BaseHandler, Context
from mar_core.ts.context import begin_batch
from mar_core.ts.metrics import MetricsCache
from mar_core.ts.micro_batching import HANDLER_METHODS, MicroBatching


class Numbers(BaseHandler):
    """Adds, and remembers which threads did it."""

    def __init__(self):
        super().__init__()
        self.threads = {"preprocess": set(), "inference": set(), "postprocess": set()}
        self.batching = None

    def preprocess(self, data):
        self.threads["preprocess"].add(threading.get_ident())
        time.sleep(0.002 * (3 - len(data)))
        return [row["data"] + 1 for row in data]

    def inference(self, data):
        self.threads["inference"].add(threading.get_ident())
        return [100 // value for value in data]

    def postprocess(self, data):
        self.threads["postprocess"].add(threading.get_ident())
        return [(self.batching.get_micro_batch_idx(), value) for value in data]

    def describe_handle(self):
        return "numbers"


@pytest.fixture
def batching():
    handler = Numbers()
    handler.batching = MicroBatching(handler, micro_batch_size=2)
    yield handler.batching
    handler.batching.shutdown()


def ask(batching, numbers, **header):
    context = Context("m", None, {}, 8, None, "", metrics=MetricsCache("m"))
    begin_batch(context, [str(n) for n in numbers], [header, *({} for _ in numbers[1:])])
    found = []
    context.metrics.listener = found.append
    result = batching([{"data": number} for number in numbers], context)
    assert [metric.name for metric in found] == ["HandlerTime"]
    return result


def test_order_and_numbers_of_parts(batching):
    assert ask(batching, [0, 1, 3, 4, 9]) == [(0, 100), (0, 50), (1, 25), (1, 20), (2, 10)]
    assert batching.get_micro_batch_idx() is None


def test_a_bad_item_fails_the_call_and_nothing_blocks(batching):
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            batching.handle([{"data": number} for number in (0, 1, -1, 4, 9)])
        with pytest.raises(KeyError):
            batching.handle([{"wrong": 1}, {"data": 1}])
        assert ask(batching, [0]) == [(0, 100)]


def test_parallelism(batching):
    batching.micro_batch_size = 1
    batching.parallelism = {"preprocess": 4, "inference": 2}
    assert batching.parallelism == {"preprocess": 4, "inference": 2}
    assert [value for _, value in ask(batching, [0] * 32)] == [100] * 32
    threads = {stage: len(found) for stage, found in batching.handler.threads.items()}
    assert threads["preprocess"] > 1
    assert threads["preprocess"] <= 4
    assert threads["inference"] <= 2
    assert threads["postprocess"] == 1
    batching.parallelism = {"preprocess": 1}
    batching.handler.threads["preprocess"].clear()
    ask(batching, [0] * 8)
    assert len(batching.handler.threads["preprocess"]) == 1
    batching.parallelism["inference"] = 7
    assert batching.parallelism["inference"] == 2


def test_thread_groups(batching):
    def sizes():
        return [len(batching.thread_groups[stage]) for stage in HANDLER_METHODS]

    assert sizes() == [1, 1, 1]
    batching.parallelism = {"preprocess": 2, "inference": 3, "postprocess": 4}
    assert sizes() == [2, 3, 4]
    kept = [one.thread for one in batching.thread_groups["postprocess"]]
    batching.parallelism = {"preprocess": 1, "inference": 2, "postprocess": 3}
    assert sizes() == [1, 2, 3]
    alive = [one.thread for one in batching.thread_groups["postprocess"]]
    assert set(alive) < set(kept)
    assert all(thread.is_alive() for thread in alive)
    assert [value for _, value in ask(batching, [0] * 8)] == [100] * 8
    batching.shutdown()
    assert sizes() == [0, 0, 0]
    with pytest.raises(RuntimeError, match="was shut down"):
        batching.handle([{"data": 0}])
    batching.parallelism = {}
    assert [value for _, value in ask(batching, [0])] == [100]


def test_threads_end_with_their_owner():
    batching = MicroBatching(Numbers())
    threads = [group[0].thread for group in batching.thread_groups.values()]
    del batching
    gc.collect()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("wrong", [{"nothing": 1}, {"inference": -1}])
def test_wrong_parallelism(batching, wrong):
    with pytest.raises(ValueError, match="parallelism takes preprocess, inference, postprocess"):
        batching.parallelism = wrong


def test_stages_overlap():
    """Two parts are in different stages at once: with one after the other this would never end."""
    meet = threading.Barrier(2, timeout=5)

    class Meeting(BaseHandler):
        def preprocess(self, data):
            if data == [2]:
                meet.wait()
            return data

        def inference(self, data):
            if data == [1]:
                meet.wait()
            return data

        def postprocess(self, data):
            return data

    batching = MicroBatching(Meeting())
    assert batching.handle([1, 2]) == [1, 2]
    batching.shutdown()


def test_headers(batching):
    assert ask(batching, [1, 2], describe="True") == ["numbers", "numbers"]


def test_profiler(batching, monkeypatch, tmp_path):
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("ENABLE_TORCH_PROFILER", "1")
    done = []
    batching.handler.profiler_args = {
        "activities": [torch.profiler.ProfilerActivity.CPU],
        "on_trace_ready": done.append,
    }
    assert [value for _, value in ask(batching, [0])] == [100]
    assert len(done) == 1
