"""The world that a handler sees in its worker is the one that TorchServe's workers gave it."""

from __future__ import annotations

import json
import textwrap

import pytest
from packs import mar

HANDLER = """
    import atexit, threading
    # The first of its kind, so the last to be called.
    atexit.register(lambda: FOLDER and print("its end:", threading.enumerate()))

    import builtins, concurrent.futures as cf, importlib, json, logging, multiprocessing as mp
    import os, pickle, runpy, signal, subprocess, sys, time, types

    import helper
    from helper import Point, square

    FOLDER = None

    def own(x):
        return x + 1

    def last_words(path):
        signal.pause()

    def handle(data, context):
        global FOLDER
        if data is None:
            FOLDER = context.system_properties["model_dir"]
            return None
        return [globals()[row["body"]["do"]]() for row in data]

    def relative_open():
        with open("labels.txt") as file:
            return file.read().split()

    def where():
        return [os.getcwd() == FOLDER, sys.path[0] == FOLDER,
                FOLDER in os.environ["PYTHONPATH"].split(os.pathsep)]

    def names():
        return [__name__, helper.__name__, square.__module__, logging.getLogger(__name__).name]

    def path_by_hand():
        before = list(sys.path)
        sys.path.insert(0, os.path.join(FOLDER, "inner"))
        import deep
        taken = sys.path.pop(0)
        return [deep.VALUE, os.path.basename(taken), sys.path == before]

    def fork():
        with mp.get_context("fork").Pool(2) as pool:
            return pool.map(square, [3]) + pool.map(own, [3])

    def terminated():
        process = mp.get_context("fork").Process(target=last_words, args=("x",))
        process.start()
        process.terminate()
        process.join()
        return process.exitcode

    def spawn():
        with mp.get_context("spawn").Pool(1) as pool:
            return pool.map(square, [3]) + pool.map(own, [3])

    def forkserver():
        with cf.ProcessPoolExecutor(1, mp_context=mp.get_context("forkserver")) as pool:
            return list(pool.map(square, [3])) + list(pool.map(own, [3]))

    def joblib():
        import joblib
        return joblib.Parallel(n_jobs=2)(joblib.delayed(square)(i) for i in (3, 4))

    def spawned_folder():
        with mp.get_context("spawn").Pool(1) as pool:
            return pool.apply(os.getcwd) == FOLDER

    def subprocess_imports():
        code = "import helper; from ts.torch_handler.base_handler import BaseHandler;"
        code += "print(helper.square(4))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        return done.stdout.strip() or done.stderr

    def run_path():
        return runpy.run_path("helper.py")["square"](5) + runpy.run_module("helper")["square"](1)

    def late():
        sys.modules["late"] = types.SimpleNamespace(value=6)
        import late
        return late.value

    def patched():
        builtins.shout = lambda text: text.upper()
        return helper.shouted("a")

    def pickled():
        point = pickle.loads(pickle.dumps(Point(1)))
        return [type(point) is Point, b"helper" in pickle.dumps(point), point.x]

    def by_name():
        return importlib.import_module("helper") is helper is sys.modules["helper"]
"""
HELPER = """
    class Point:
        def __init__(self, x):
            self.x = x

    def square(x):
        return x * x

    def shouted(text):
        return shout(text)
"""
EXPECTED = {
    "relative_open": ["cat", "dog"],
    "where": [True, True, True],
    "names": ["handler", "helper", "helper", "handler"],
    "path_by_hand": [7, "inner", True],
    "fork": [9, 4],
    "terminated": -15,
    "spawn": [9, 4],
    "forkserver": [9, 4],
    "joblib": [9, 16],
    "spawned_folder": True,
    "subprocess_imports": "16",
    "run_path": 26,
    "late": 6,
    "patched": "A",
    "pickled": [True, True, 1],
    "by_name": True,
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What the handler found, one row for each thing that handlers do, in a run from elsewhere."""
    pytest.importorskip("joblib")
    folder = tmp_path_factory.mktemp("world")
    (folder / "handler.py").write_text(textwrap.dedent(HANDLER))
    (folder / "helper.py").write_text(textwrap.dedent(HELPER))
    (folder / "labels.txt").write_text("cat dog")
    (folder / "inner").mkdir()
    (folder / "inner" / "deep.py").write_text("VALUE = 7")
    words = ("--extra-files", "helper.py,labels.txt,inner=inner/", "--handler", "handler.py")
    mar("archive", "--model-name", "world", "--version", "1.0", *words, cwd=folder)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    lines = "".join(json.dumps({"do": do}) + "\n" for do in EXPECTED)
    (elsewhere / "rows.jsonl").write_text(lines)
    words = ("../world.mar", "rows.jsonl", "-o", "out/rows.jsonl")
    done = mar("run", *words, cwd=elsewhere, code=None)
    found = [json.loads(line) for line in (elsewhere / "out/rows.jsonl").read_text().splitlines()]
    return dict(zip(EXPECTED, found, strict=True)), done.stderr


@pytest.fixture
def answers(ran):
    return ran[0]


@pytest.mark.parametrize("do", EXPECTED)
def test_what_handlers_rely_on(answers, do):
    assert answers[do].get("result") == EXPECTED[do], answers[do]


def test_what_a_handler_leaves_behind_does_not_keep_its_worker(ran):
    """Joblib leaves processes, which are ended before Python would wait for them."""
    assert "its end:" in ran[1]
    assert "ExecutorManagerThread" not in ran[1]


def test_the_parent_imports_no_torch(tmp_path):
    """It reads inputs and writes results; only the worker pays for PyTorch."""
    (tmp_path / "h.py").write_text(
        "import torch\ndef handle(data, context):\n"
        "    return [float(torch.ones(2).sum())] * len(data) if data else None\n"
    )
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "watching.py").write_text(
        "import sys\nfrom mar_core.cli import app\n"
        "app(['run', '--handler', 'h.py', 'a.txt', '-q', '-o', 'o.jsonl'], standalone_mode=False)\n"
        "print(sorted({'torch', 'numpy', 'torchvision'} & set(sys.modules)))\n"
    )
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "watching.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
    assert json.loads((tmp_path / "o.jsonl").read_text())["result"] == 2.0


def test_what_is_given_relative_is_the_users(tmp_path):
    """A handler that changes its folder moves neither inputs nor outputs."""
    (tmp_path / "h.py").write_text(
        "import os\ndef handle(data, context):\n    os.chdir('/')\n"
        "    return [bytes(row['body']) for row in data] if data else None\n"
    )
    (tmp_path / "in").mkdir()
    for n in range(3):
        (tmp_path / "in" / f"{n}.bin").write_bytes(bytes([n]))
    words = ("--handler", "h.py", "in/", "-o", "out/rows.jsonl", "--output-dir", "out/files", "-q")
    mar("run", *words, cwd=tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "out/rows.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["in/0.bin", "in/1.bin", "in/2.bin"]
    contents = [(tmp_path / row["result"]["file"]).read_bytes() for row in rows]
    assert contents == [b"\x00", b"\x01", b"\x02"]


def test_breakpoint_says_what_to_do(tmp_path):
    (tmp_path / "h.py").write_text(
        "def handle(data, context):\n    if data is None: return\n    breakpoint()\n"
    )
    (tmp_path / "a.txt").write_text("x")
    done = mar("run", "--handler", "h.py", "a.txt", "-q", cwd=tmp_path, code=1)
    assert "--in-process" in done.stdout
