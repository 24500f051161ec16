"""Which GPUs workers are dealt: counted without torch, as the archive and the user say."""

from __future__ import annotations

import pytest

from mar_core import Input, Recipe, RunOptions, RunSummary
from mar_core.runtime import machine
from mar_core.runtime.pool import WorkerPool
from mar_core.testing import make_archive
from mar_core.ts import device


@pytest.fixture
def four(tmp_path, monkeypatch):
    """A machine with four GPUs, as NVIDIA's driver shows them."""
    for number in range(4):
        (tmp_path / "gpus" / f"0000:0{number}:00.0").mkdir(parents=True)
    monkeypatch.setattr(machine, "_NVIDIA", tmp_path / "gpus")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("visible", "count"), [(None, 4), ("0,2", 2), ("", 0), ("-1", 0), ("3,-1,2", 1), ("GPU-1f", 1)]
)
def test_those_that_are_visible_count(four, monkeypatch, visible, count):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.count_gpus() == count


def test_without_a_driver_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_NVIDIA", tmp_path / "none")
    assert machine.count_gpus() == 0
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert machine.count_gpus() == 0


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, [0, 1, 2, 3]),
        ({"deviceType": "cpu"}, []),
        ({"deviceType": "gpu", "deviceIds": [3, 1]}, [3, 1]),
        ({"deviceIds": [1, 9]}, [0, 1, 2, 3]),
        ({"deviceIds": []}, [0, 1, 2, 3]),
        ({"deviceIds": [True]}, [0, 1, 2, 3]),
        ({"deviceIds": "1"}, [0, 1, 2, 3]),
    ],
)
def test_the_archive_may_name_them(config, expected):
    assert machine.gpus_for(config, count=4) == expected


def test_a_gpu_that_pytorch_does_not_see_is_not_taken(monkeypatch):
    monkeypatch.setattr(device, "accelerators", lambda: 0)
    assert device.dealt_device(2, {}) == "cpu"
    monkeypatch.setattr(device, "accelerators", lambda: 2)
    assert device.dealt_device(1, {}) == "gpu:1"
    assert device.dealt_device(3, {"deviceIds": [1]}) == "gpu:1"
    assert device.dealt_device(1, {"deviceType": "cpu"}) == "cpu"


HANDLER = """
import os, time

def handle(data, context):
    if data is None:
        return None
    time.sleep(0.02)
    return [[os.getpid(), context.system_properties["gpu_id"]] for row in data]
"""


@pytest.mark.parametrize(
    ("config", "count", "named", "expected"),
    [
        ("deviceIds: [2, 1]", None, None, 2),
        ("deviceType: cpu", None, None, 1),
        ("deviceIds: [3]", 3, None, 3),
        ("{}", None, "cpu", 1),
    ],
)
def test_a_run_has_a_worker_on_each(four, tmp_path, config, count, named, expected):
    (tmp_path / "handler.py").write_text(HANDLER)
    (tmp_path / "c.yaml").write_text(config)
    archive = make_archive(
        tmp_path, handler=tmp_path / "handler.py", config_file=tmp_path / "c.yaml"
    )
    recipe = Recipe(source=archive, device=named)
    rows = [Input(id=str(at), read=lambda: {"data": 1}) for at in range(40)]
    summary = RunSummary(model="m")
    with WorkerPool(recipe, RunOptions(), count=count, summary=summary) as pool:
        answers = [outcome.result for outcomes in pool.run(rows) for outcome in outcomes]
    assert len(answers) == len(rows)
    # PyTorch sees no GPU here, and that is no error.
    assert {gpu for _, gpu in answers} == {None}
    assert len({pid for pid, _ in answers}) <= expected
    assert len(pool._workers) == expected
