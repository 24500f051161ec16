"""Each benchmark runs to its end at a toy size, and compares outputs before it measures."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tree

ROW = re.compile(r"^(\S.*?) {2,}\d+\.\d+ ", re.MULTILINE)


def rows(name, folder):
    """The rows of a benchmark's tables that hold numbers."""
    words = [sys.executable, tree.ROOT / "benchmarks" / "all.py", "--quick", "--folder", folder]
    done = subprocess.run([*words, name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROW.findall(done.stdout)


@pytest.mark.parametrize(
    ("name", "contenders"),
    [
        ("command_start", {"import typer", "mar --help", "mar inspect, 20 plugins"}),
        ("one_call", {"bare methods", "predict"}),
        ("pack", {"cp", "sha256", "mar archive", "torch-model-archiver default"}),
        ("repack", {"mar archive", "mar update", "mar update --in-place"}),
        ("environments", {"uv venv, uv pip sync", "mar, first", "mar, again"}),
        ("load", {"torch.load(mmap=True)", "safetensors", "unpacked, first", "in place, again"}),
    ],
)
def test_a_benchmark_measures_every_contender(name, contenders, tmp_path):
    assert contenders <= set(rows(name, tmp_path))


def test_servers_are_measured_in_turns(tmp_path):
    packages = Path(sys.prefix)
    expected = {"mar serve"}
    expected |= {"LitServe", "mosec"} if (packages / "servers").exists() else set()
    has_torchserve = shutil.which("java") and (packages / "torchserve").exists()
    expected |= {"TorchServe"} if has_torchserve else set()
    assert {row.partition("  ")[0] for row in rows("serving", tmp_path)} == expected


def test_an_output_that_differs_stops_a_benchmark(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tree.ROOT / "benchmarks")
    import batch
    import pack

    (tmp_path / "copy.pt").write_bytes(b"other")
    with pytest.raises(AssertionError):
        pack.check(tmp_path / "copy.pt", pack.sha256_of(tree.ROOT / "LICENSE"))
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "result": {"1": 0.5}}\n')
    batch.same_answers([{"id": "a", "result": {"1": 0.5}}], tmp_path / "rows.jsonl")
    with pytest.raises(AssertionError):
        batch.same_answers([{"id": "a", "result": {"1": 0.6}}], tmp_path / "rows.jsonl")
    with pytest.raises(AssertionError):
        batch.same_failures(tmp_path / "rows.jsonl", 1)


def test_without_a_gpu_its_benchmark_says_so():
    script = tree.ROOT / "benchmarks" / "gpu.py"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("There is no CUDA device here")
    assert "Traceback" not in done.stderr


def test_what_goes_on_at_once(monkeypatch):
    monkeypatch.syspath_prepend(tree.ROOT / "benchmarks")
    import gpu

    assert gpu.shared([(0, 10), (20, 30)], [(5, 22), (25, 26), (40, 50)]) == 5 + 2 + 1
    assert gpu.shared([(0, 10)], []) == 0
