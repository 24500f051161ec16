"""Handlers in TorchServe's style run unchanged, and answer as they do in the real TorchServe."""

from __future__ import annotations

import copy
import functools
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import zoo
from filelock import FileLock

from mar_core import Input, load
from mar_core.format.manifest import Manifest
from mar_core.handlers.load import load_handler
from mar_core.ts.context import begin_batch, make_context

TORCHSERVE = Path(sys.prefix) / "torchserve"
RUNNER = Path(zoo.__file__).with_name("zoo_runner.py")
# PyTorch would like people to leave TorchScript; archives that hold it stay.
pytestmark = pytest.mark.filterwarnings(r"ignore:.*torch\.jit\..* is deprecated:FutureWarning")
TIMES = ("HandlerTime", "ts_handler_")


def headers_of(case):
    told = [*case.headers, *([[]] * len(case.batches))]
    return [
        [dict(header) for header in [*given, *([{}] * len(batch))][: len(batch)]]
        for given, batch in zip(told, case.batches, strict=False)
    ]


def run_here(case, folder):
    """What a case gives in mar, in the form that the runner gives it in."""
    manifest = Manifest(zoo.manifest_of(case))
    context = make_context(manifest, folder, batch_size=8)
    lines = []
    context.metrics.listener = lambda metric: lines.append(str(metric))
    loaded = load_handler(manifest, folder, envelope=case.envelope)
    try:
        if loaded.initialize is not None:
            loaded.initialize(context)
        answers = [
            answer_here(loaded, context, batch, headers)
            for batch, headers in zip(case.batches, headers_of(case), strict=True)
        ]
    finally:
        loaded.close()
    return {"answers": answers, "metrics": lines}


def answer_here(loaded, context, batch, headers):
    parts = {}
    begin_batch(context, [f"r{index}" for index in range(len(batch))], headers)
    context.sink = lambda index, part: parts.setdefault(index, []).append(part)
    try:
        with loaded.code.active():
            answer = {"result": loaded.entry(copy.deepcopy(batch), context)}
    except Exception as error:  # noqa: BLE001 - it is compared with TorchServe's
        answer = {"error": (type(error).__name__, getattr(error, "error_code", None), str(error))}
    answer["status"] = [context.get_response_status(index) for index in range(len(batch))]
    answer["headers"] = [dict(context.get_response_headers(index)) for index in range(len(batch))]
    answer["parts"] = [list(part) for part in zip(*parts.values(), strict=True)]
    return answer


@pytest.fixture(scope="module")
def golden_run(tmp_path_factory):
    """The folder with every archive and what it gives in TorchServe, made once for all workers."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    work = root / "handlers-zoo"
    with FileLock(root / "handlers-zoo.lock"):
        if not (work / "results").exists():
            work.mkdir(exist_ok=True)
            run_in_torchserve(work)
    return work


@pytest.fixture(scope="module")
def folders(golden_run):
    return {case.id: golden_run / str(n) for n, case in enumerate(zoo.CASES)}


@pytest.fixture(scope="module")
def golden(golden_run):
    """What every case gives in the real TorchServe."""
    return pickle.loads((golden_run / "results").read_bytes())


def run_in_torchserve(work):
    assert TORCHSERVE.is_dir(), "run `make env` first: it unpacks TorchServe 0.12"
    folders = {case.id: zoo.unpacked(case, work / str(n)) for n, case in enumerate(zoo.CASES)}
    cases = {
        case.id: {
            "folder": str(folders[case.id]),
            "name": case.name,
            "handler": case.handler,
            "envelope": case.envelope,
            "batches": case.batches,
            "headers": headers_of(case),
        }
        for case in zoo.CASES
        if case.golden
    }
    (work / "cases").write_bytes(pickle.dumps(cases))
    done = subprocess.run(
        [sys.executable, RUNNER, work / "cases", work / "results"],
        env={**os.environ, "PYTHONPATH": str(TORCHSERVE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def assert_same(found, expected, where):
    """Equal, with numbers to 1e-6."""
    assert type(found) is type(expected), where
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            assert_same(found[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), where
        for at, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_same(one, other, f"{where}[{at}]")
    elif isinstance(expected, float):
        assert math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-6), where
    else:
        assert found == expected, where


def without_times(lines):
    """Metric lines without host, time and how long something took."""
    cut = [line.partition("|#hostname")[0] for line in lines]
    requests = [line.partition("|#hostname")[2].split(",", 2)[2:] for line in lines]
    return [
        (line.partition(":")[0] if any(name in line for name in TIMES) else line, request)
        for line, request in zip(cut, requests, strict=True)
    ]


def test_there_are_enough_kinds():
    assert len({case.name for case in zoo.CASES}) >= 20
    assert len({case.id for case in zoo.CASES}) == len(zoo.CASES)


@pytest.mark.parametrize("case", [c for c in zoo.CASES if c.golden], ids=lambda case: case.id)
def test_answers_as_in_torchserve(case, folders, golden):
    expected = golden[case.id]
    assert "load_error" not in expected, expected
    found = run_here(case, folders[case.id])
    assert_same(found["answers"], expected["answers"], "answers")
    assert without_times(found["metrics"]) == without_times(expected["metrics"])


def test_async_handler(folders):
    case = next(case for case in zoo.CASES if case.name == "asynchronous")
    found = run_here(case, folders[case.id])
    results = [answer["result"] for answer in found["answers"]]
    assert results == [[[1, True], ["x", True]], [[2, True]]]


def run_loaded(case, folder):
    """What a case gives through a predictor, each batch on its own."""
    with load(folder, batch_size=8, envelope=case.envelope, allow_pickle=True) as predictor:
        return [
            predictor.run(
                [
                    Input(id=f"r{at}", read=functools.partial(copy.deepcopy, row), headers=header)
                    for at, (row, header) in enumerate(zip(batch, headers, strict=True))
                ]
            )
            for batch, headers in zip(case.batches, headers_of(case), strict=True)
        ]


# Batches in which one bad request sinks the others in TorchServe, and here only itself.
ISOLATED = {"refusal-handler.py": {1: [1, "Negative numbers are not served"]}}


@pytest.mark.parametrize("case", [c for c in zoo.CASES if c.golden], ids=lambda case: case.id)
def test_answers_the_same_through_the_predictor(case, folders, golden):
    every = run_loaded(case, folders[case.id])
    for at, (outcomes, answer) in enumerate(zip(every, golden[case.id]["answers"], strict=True)):
        results = [one.failure.message if one.failure else one.result for one in outcomes]
        expected = answer.get("result") or ISOLATED[case.id][at]
        assert_same(results, expected, f"batch {at}")
        statuses = [(one.response.status, one.response.phrase or None) for one in outcomes]
        assert statuses == [tuple(status) for status in answer["status"]]
        assert [dict(one.response.headers) for one in outcomes] == answer["headers"]
        parts = [list(part) for part in zip(*(one.streamed for one in outcomes), strict=True)]
        assert parts == answer["parts"]
