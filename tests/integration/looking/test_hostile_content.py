"""Sound containers with hostile content: it is told, and nothing of it happens, at little cost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import hostile_pickles
import memory_archive
import pytest
import weightsfiles
from contentfaults import CONFIGS, MANIFESTS, REQUIREMENTS

WATCHED = Path(__file__).parents[2] / "support" / "watched.py"
SECONDS, BYTES = 2, 200 << 20
MARK = "/tmp/mar-test-mark-that-nothing-may-make"
RUNS = f"import os\nos.system('touch {MARK}')\n".encode()


def _cases() -> dict[str, tuple[dict[str, bytes], str]]:
    """Files of an archive, and the code that one of them must be refused by."""
    files = memory_archive.files
    cases = {
        f"manifest: {name}": (files() | {memory_archive.MANIFEST: raw}, code)
        for name, (raw, code) in MANIFESTS.items()
        if code != "MAR-M002"  # the reader refuses it before any rule does
    }
    for name, (raw, code) in CONFIGS.items():
        cases[f"config: {name}"] = (files({"c.yaml": raw}, configFile="c.yaml"), code)
    for name, (raw, code) in REQUIREMENTS.items():
        cases[f"requirements: {name}"] = (files({"r.txt": raw}, requirementsFile="r.txt"), code)
    for name, data in hostile_pickles.shapes(MARK).items():
        weights = hostile_pickles.inside_torch_zip(data)
        told = files({"w.pt": weights}, serializedFile="w.pt")
        cases[f"weights: {name}"] = (told, "MAR-W00")
        cases[f"extra file: {name}"] = (files({"vocab.pkl": data}), "MAR-W00")
    for name, call in hostile_pickles.calls(MARK).items():
        data = hostile_pickles.pickled(call)
        cases[f"call: {name}"] = (files({"w.pt": data}, serializedFile="w.pt"), "MAR-W003")
    for name in ("sitecustomize.py", "usercustomize.py", "handler.pyc", "__pycache__/handler.pyc"):
        cases[f"code: {name}"] = (files({name: RUNS}), "MAR-C007")
    whole = weightsfiles.whole_module()
    cases["a pickled network"] = (files({"w.pt": whole}, serializedFile="w.pt"), "MAR-W003")
    return cases


CASES = _cases()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for number, (files, _) in enumerate(CASES.values()):
        path = memory_archive.write_zip(folder / f"{number:04}.mar", files)
        assert path.stat().st_size < 3 << 20
    sound = memory_archive.files({"w.pt": weightsfiles.state_dict()}, serializedFile="w.pt")
    memory_archive.write_zip(folder / "sound.mar", sound)
    words = map(str, [WATCHED, folder, tmp_path_factory.mktemp("cache"), "content"])
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True, text=True, check=False, cwd=tmp_path_factory.mktemp("elsewhere"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("number", range(len(CASES)), ids=list(CASES))
def test_it_is_told_and_nothing_happens(number, reports):
    code = list(CASES.values())[number][1]
    assert any(found.startswith(code) for found in reports[number]["codes"]), reports[number]
    assert reports[number]["seen"] == []
    assert reports[number]["seconds"] < SECONDS


def test_all_of_it_costs_little(reports):
    assert len(CASES) > 100
    assert reports[-1]["peak"] < BYTES
    assert "torch" not in reports[-1]["modules"]
    assert not Path(MARK).exists()


def test_the_mark_would_be_made(tmp_path):
    mark = tmp_path / "mark"
    data = hostile_pickles.shapes(str(mark))["protocol 2"]
    assert hostile_pickles.fires(data, mark)
