"""``pt2`` compiles a model once: a second start finds what the first has compiled."""

from __future__ import annotations

import contextlib
import functools
import shutil

import pytest

from mar_core import Input, LocalWorkers, Recipe, RunOptions
from mar_core.testing import make_archive

NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)
        torch.nn.init.ones_(self.linear.weight)
        torch.nn.init.zeros_(self.linear.bias)

    def forward(self, numbers):
        return torch.relu(self.linear(numbers)) + 1
"""
NEEDS = pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs g++ on the CPU")


@NEEDS
def test_a_second_start_does_not_compile(tmp_path, monkeypatch):
    place = tmp_path / "cache"
    monkeypatch.setenv("MAR_CACHE_DIR", str(place))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    # Else PyTorch compiles a file to see whether the processor's vector instructions work.
    monkeypatch.setenv("TORCHINDUCTOR_VEC_ISA_OK", "1")
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "c.yaml").write_text("pt2: inductor\n")
    archive = make_archive(
        tmp_path,
        handler="base_handler",
        model_file=tmp_path / "net.py",
        config_file=tmp_path / "c.yaml",
    )
    row = Input(id="1", read=functools.partial(dict, data=[1.0, 2.0]))

    def run():
        with contextlib.closing(LocalWorkers(Recipe(source=archive), RunOptions())) as workers:
            (outcome,) = workers.run([row])
        compiled = place.glob("unpacked-1/compiled-*/model/**/*.so")
        return outcome.result, {path: path.stat().st_mtime_ns for path in compiled}

    result, first = run()
    assert result == [4.0, 4.0]
    assert first
    assert run() == (result, first)
