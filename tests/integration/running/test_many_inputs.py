"""Many inputs: flat memory, bad ones among them, no more imported and started than is needed."""

from __future__ import annotations

import concurrent.futures
import json
import os
import subprocess
import sys
import textwrap

import pytest
from packs import mar

from mar_core.runtime.machine import cores, keeping_threads, use_threads
from mar_core.testing import make_archive

NOOP = """
def handle(data, context):
    return [row["data"] for row in data] if data else None
"""
MEASURED = """
    import sys
    from peak import peak
    sys.argv[0] = "mar"
    from mar_core.cli import main
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code
    heavy = {"torch", "torchvision", "numpy", "PIL", "rich", "yaml", "pyarrow", "fsspec"}
    print(peak() // 1024, sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def yard(tmp_path_factory):
    folder = tmp_path_factory.mktemp("yard")
    (folder / "noop.py").write_text(NOOP)
    make_archive(folder, handler=folder / "noop.py", model_name="noop")
    for name, count in (("few", 3_000), ("many", 30_000)):
        lines = "".join(f'{{"data": {number}}}\n' for number in range(count))
        (folder / f"{name}.jsonl").write_text(lines)
    return folder


def measured(folder, *words):
    """The KiB that ``mar run`` takes at most, and what it imports of what is slow to import."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MEASURED), "run", *words, "--quiet"],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    memory, imported = done.stderr.splitlines()[-1].split(" ", 1)
    return int(memory), imported


@pytest.mark.parametrize("words", [(), ("--workers", "1")])
def test_ten_times_as_many_rows_take_no_more_memory(yard, words):
    size = ("--batch-size", "100")
    few, _ = measured(yard, "noop.mar", "few.jsonl", "-o", "few.out.jsonl", *size, *words)
    many, imported = measured(yard, "noop.mar", "many.jsonl", "-o", "many.out.jsonl", *size, *words)
    assert many < few + 3_000
    assert imported == "[]", "nothing is imported that the handler does not need"
    rows = (yard / "many.out.jsonl").read_text().splitlines()
    assert len(rows) == 30_000
    assert json.loads(rows[-1]) == {"id": "many.jsonl:30000", "result": 29_999}


@pytest.mark.parametrize("workers", ["0", "2"])
def test_one_in_a_hundred_is_broken(yard, workers):
    """Whatever way an input is broken, it costs its own row, and the batch of the others little."""
    folder = yard / f"files{workers}"
    folder.mkdir()
    for number in range(1000):
        text = '{"data": 1, ' if number % 200 == 7 else f'{{"{number}": 1}}'
        text = text if number % 100 == 7 else f'{{"data": {number}}}'
        (folder / f"{number:04}.jsonl").write_text(text)
    (folder / "0300.jsonl").unlink()
    (folder / "0300.jsonl").symlink_to("nowhere")
    words = ("noop.mar", folder.name, "-o", f"broken{workers}.jsonl")
    done = mar("run", *words, "--workers", workers, "--batch-size", "32", cwd=yard, code=1)
    rows = [json.loads(line) for line in (yard / f"broken{workers}.jsonl").read_text().splitlines()]
    assert len(rows) == 1000
    bad = [row for row in rows if "error" in row]
    good = [row["result"] for row in rows if "result" in row]
    assert good == [n for n in range(1000) if n % 100 != 7 and n != 300]
    assert sorted((row["error"]["stage"], row["error"]["type"]) for row in bad) == [
        *[("inference", "KeyError")] * 5, *[("read", "InputError")] * 6,
    ]  # fmt: skip
    assert "989 succeeded, 11 failed" in done.stderr
    assert "6 x read/InputError" in done.stderr


THREADS = """
import torch
from mar_core import BaseHandler

class Threads(BaseHandler):
    stages_independent = {independent}

    def initialize(self, context):
        self.usual = torch.get_num_threads()

    def preprocess(self, data):
        return [[torch.get_num_threads()] for row in data]

    def inference(self, data):
        return [[*row, torch.get_num_threads()] for row in data]

    def postprocess(self, data):
        return [[*row, torch.get_num_threads(), self.usual] for row in data]

    def explain_handle(self, data, raw):
        return [[torch.get_num_threads(), self.usual] for row in data]
"""


@pytest.fixture
def threads(yard, monkeypatch):
    """How many threads PyTorch uses in each stage, and before."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)

    def found(*words, independent, **variables):
        source = yard / "threads.py"
        source.write_text(THREADS.format(independent=independent))
        asked = ("run", "--handler", source.name, "few.jsonl", "--limit", "20", *words)
        done = mar(*asked, cwd=yard, **variables)
        return {tuple(json.loads(line)["result"]) for line in done.stdout.splitlines()}

    return found


def test_the_model_has_all_cores_and_what_prepares_beside_it_one_each(threads):
    ((*stages, usual),) = threads(independent=True)
    assert stages == [1, usual, 1]
    assert threads("--explain", independent=True) == {(usual, usual)}


def test_workers_share_the_cores(threads):
    share = max(1, cores() // 2)
    assert threads("--workers", "2", independent=True) == {(share,) * 4}


def test_what_the_user_says_counts(threads):
    assert threads("--workers", "1", independent=False, OMP_NUM_THREADS="1") == {(1,) * 4}


def test_the_number_of_threads_is_put_back():
    import torch

    before = torch.get_num_threads()
    with keeping_threads() as usual, concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(use_threads, before + 3).result()
        assert pool.submit(torch.get_num_threads).result() == before + 3
        pool.submit(use_threads, None).result()
        assert pool.submit(torch.get_num_threads).result() == before + 3
    assert usual == before == torch.get_num_threads()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == before
