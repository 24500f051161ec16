"""Streams of a device: what a stage leaves is there before the next one reads it."""

from __future__ import annotations

import functools

import pytest
import torch
from late_device import LateDevice

from mar_core import Input, load, stacked, to_device
from mar_core.runtime.lanes import Lanes, lanes_of
from mar_core.runtime.pipeline import in_turn, overlapped
from mar_core.testing import make_archive

HANDLER = """
from mar_core import BaseHandler

class Late(BaseHandler):
    stages_independent = True
    device = None  # the test sets it

    def initialize(self, context):
        self.initialized = True
        self.inferring = []

    def preprocess(self, data):
        values = [row["data"] for row in data]
        place = [None] * len(values)
        def copy():
            place[:] = values
        self.device.compute(copy)
        return place

    def inference(self, data):
        output = [None] * len(data)
        def run():
            self.inferring.append(len(data))
            for at, value in enumerate(data):
                output[at] = "broken" if value is None else value * 2
        if "bad" in [value for value in data if isinstance(value, str)]:
            raise RuntimeError("out of luck")
        self.device.compute(run)
        return output

    def postprocess(self, data):
        answers = self.device.fetch(lambda: list(data))
        if 14 in answers:
            raise ValueError("no sevens")
        return answers

    def get_insights(self, data, raw, target):
        return self.device.fetch(lambda: [value + 1 for value in data])
"""


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("late")
    (folder / "handler.py").write_text(HANDLER)
    with load(make_archive(folder, handler=folder / "handler.py"), batch_size=3) as loaded:
        yield loaded


def batches(values, size=3):
    inputs = [
        Input(id=str(at), read=functools.partial(dict, data=value))
        for at, value in enumerate(values)
    ]
    numbered = list(enumerate(inputs))
    return [numbered[start : start + size] for start in range(0, len(numbered), size)]


def run(predictor, values, *, with_lanes=True, explain=False, how=overlapped):
    device = LateDevice()
    predictor.loaded.instance.device = device
    runner = predictor.runner(independent=True, explain=explain)
    assert runner.lanes is None  # the machine of the tests has no streams, or is not asked for them
    runner.lanes = Lanes(device, None) if with_lanes else None
    outcomes = [outcome for found, _ in how(runner, batches(values)) for outcome in found]
    assert [outcome.index for outcome in outcomes] == list(range(len(values)))
    return outcomes


@pytest.mark.parametrize("how", [overlapped, in_turn])
def test_every_stage_sees_what_the_one_before_left(predictor, how):
    values = [value for value in range(40) if value != 7]
    outcomes = run(predictor, values, how=how)
    assert [outcome.result for outcome in outcomes] == [value * 2 for value in values]


def test_without_waiting_it_would_not(predictor):
    """The device of these tests does what the lanes are for."""
    device = LateDevice()
    place: list[int] = []
    with device.stream(device.Stream()):
        for _ in range(20):
            device.compute(lambda: None)
        device.compute(lambda: place.append(1))
    assert device.fetch(lambda: list(place)) == []


def test_what_fails_fails_alone(predictor):
    outcomes = run(predictor, [1, 2, 7, 3, 4, 5, 6, 7, 8])
    results = [outcome.result if outcome.failure is None else "failed" for outcome in outcomes]
    assert results == [2, 4, "failed", 6, 8, 10, 12, "failed", 16]


def test_explanations_wait_too(predictor):
    outcomes = run(predictor, list(range(9)), explain=True)
    assert [outcome.result for outcome in outcomes] == list(range(1, 10))


def test_seconds_of_inference_are_the_devices(predictor):
    device = LateDevice()
    predictor.loaded.instance.device = device
    runner = predictor.runner(independent=True)
    runner.lanes = Lanes(device, None)
    for _, seconds in overlapped(runner, batches([1, 2, 3])):
        assert seconds["inference"] > 0


def test_batches_on_the_cpu():
    tensors = [torch.ones(2), torch.zeros(2)]
    assert torch.equal(stacked(tensors, None), torch.stack(tensors))
    assert to_device(tensors[0], torch.device("cpu")) is tensors[0]
    assert lanes_of(None) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_on_a_device():
    tensors = [torch.rand(3, 5, 5) for _ in range(4)]
    lanes = lanes_of(0)
    assert lanes is not None
    with torch.cuda.stream(lanes.stream("preprocess")):
        made = stacked(tensors, "cuda:0")
        torch.testing.assert_close(made.cpu(), torch.stack(tensors))
        torch.testing.assert_close(to_device(tensors[0], "cuda:0").cpu(), tensors[0])
    assert lanes.stream("inference") == torch.cuda.default_stream(0)
    mixed = [torch.ones(2, dtype=torch.float64), torch.ones(2)]
    assert stacked(mixed, "cuda:0").dtype is torch.float64
