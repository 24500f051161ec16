"""``mar run`` as users type it: what goes in, what comes out, and how it ends."""

from __future__ import annotations

import csv
import json
import re
import subprocess

import pytest
from packs import COMMAND, mar, mar_here

from mar_core import MarError

HANDLER = """
import os, sys
from mar_core import PredictionException

def handle(data, context):
    if data is None:
        return None
    print("a word from the handler")
    os.write(1, b"and one past Python\\n")
    return [answer(at, row, context) for at, row in enumerate(data)]

def answer(at, row, context):
    body = row.get("body")
    if body == {"do": "refuse"}:
        raise PredictionException("the picture is upside down", 422)
    if body == {"do": "raise"}:
        return deeper(body)
    if body == {"do": "say"}:
        context.set_response_status(201, "made", idx=at)
        context.set_response_content_type(at, "text/plain")
        context.set_response_header(at, "X-Seen", context.get_request_header(at, "X-Id") or "none")
    if context.get_request_header(at, "explain") == "True":
        return {"explained": sorted(row)}
    return {name: [type(value).__name__, str(value)] for name, value in row.items()}

def deeper(body):
    return 1 / 0
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with an archive and inputs."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "desk.py").write_text(HANDLER)
    mar("archive", "--model-name", "desk", "--version", "1.0", "--handler", "desk.py", cwd=folder)
    (folder / "a.txt").write_text("one")
    (folder / "b.txt").write_text("two")
    (folder / "c.json").write_text('{"n": 3}')
    (folder / "pair.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    (folder / "mixed.jsonl").write_text('{"n": 1}\n{"do": "raise"}\nnonsense\n{"do": "refuse"}\n')
    (folder / "say.jsonl").write_text('{"do": "say"}\n{"n": 1}\n')
    return folder


def rows(done):
    """The rows on standard output; whatever else were there is no JSON."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def run(desk, *words, code=0):
    return mar("run", *words, cwd=desk, code=code)


def test_json_lines_in_order_and_nothing_else_on_standard_output(desk):
    done = run(desk, "desk.mar", "b.txt", "a.txt", "pair.jsonl")
    assert rows(done) == [
        {"id": "b.txt", "result": {"body": ["bytearray", "bytearray(b'two')"]}},
        {"id": "a.txt", "result": {"body": ["bytearray", "bytearray(b'one')"]}},
        {"id": "pair.jsonl:1", "result": {"body": ["dict", "{'n': 1}"]}},
        {"id": "pair.jsonl:2", "result": {"body": ["dict", "{'n': 2}"]}},
    ]
    assert done.stderr.count("a word from the handler") == 4
    assert done.stderr.count("and one past Python") == 4
    assert re.search(r"^desk: 4 inputs in .*; 4 succeeded, 0 failed$", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [(), ("--workers", "1"), ("--batch-size", "4")])
def test_each_row_has_a_result_or_an_error(desk, words):
    done = run(desk, "desk.mar", "mixed.jsonl", "nosuch.txt", "a.txt", *words, code=1)
    found = rows(done)
    assert [sorted(row) for row in found] == [
        ["id", "result"], ["error", "id"], ["error", "id"], ["error", "id"], ["error", "id"],
        ["id", "result"],
    ]  # fmt: skip
    errors = [row["error"] for row in found[1:5]]
    assert [(error["stage"], error["type"], error["code"]) for error in errors] == [
        ("inference", "ZeroDivisionError", 503),
        ("read", "InputError", 400),
        ("inference", "PredictionException", 422),
        ("read", "InputError", 400),
    ]
    assert [error["message"] for error in errors] == [
        "division by zero (desk.py, line 27, in deeper)",
        "mixed.jsonl:3 is not JSON: expecting value at character 1.",
        "the picture is upside down",
        "There is no nosuch.txt.",
    ]
    assert "2 succeeded, 4 failed" in done.stderr
    assert "2 x read/InputError" in done.stderr


def test_what_the_handler_said_about_its_answer(desk):
    done = run(desk, "desk.mar", "say.jsonl", "-H", "X-Id: 7", "--json")
    assert [row.get("response") for row in rows(done)] == [
        {
            "status": 201, "phrase": "made", "content_type": "text/plain",
            "headers": {"content-type": "text/plain", "X-Seen": "7"},
        },
        None,
    ]  # fmt: skip


def test_a_form_with_headers(desk):
    done = run(
        *(desk, "desk.mar", "-F", "data=@a.txt", "-F", "meta=@c.json;type=application/json"),
        *("-F", "top=3", "-H", "X-Id: 8"),
    )
    assert rows(done) == [
        {
            "id": "form",
            "result": {
                "data": ["str", "one"],
                "meta": ["dict", "{'n': 3}"],
                "top": ["bytearray", "bytearray(b'3')"],
            },
        }
    ]
    done = run(desk, "desk.mar", "-F", "data=@nosuch.txt", code=1)
    assert "There is no nosuch.txt." in rows(done)[0]["error"]["message"]


def test_content_type_and_envelope(desk):
    done = run(desk, "desk.mar", "c.json", "--content-type", "text/plain")
    assert rows(done)[0]["result"] == {"body": ["str", '{"n": 3}']}
    (desk / "sums.py").write_text(
        "def handle(data, context):\n    return [sum(row) for row in data] if data else None\n"
    )
    (desk / "instances.json").write_text('{"instances": [[1, 2], [3, 4]]}')
    words = ("--handler", "sums.py", "instances.json", "--envelope")
    done = run(desk, *words, "json", "--content-type", "application/json")
    assert json.loads(rows(done)[0]["result"]) == {"predictions": [3, 7]}
    done = run(desk, *words, "soap", code=2)
    assert done.stderr.startswith("mar: error: There is no envelope 'soap'")


def test_limit_and_explain(desk):
    done = run(desk, "desk.mar", "pair.jsonl", "a.txt", "--limit", "1", "--explain")
    assert rows(done) == [{"id": "pair.jsonl:1", "result": {"explained": ["body"]}}]
    assert rows(run(desk, "desk.mar", "a.txt", "--limit", "0")) == []


def test_quiet_and_verbose(desk):
    done = run(desk, "desk.mar", "mixed.jsonl", "--quiet", code=1)
    said = [line for line in done.stderr.splitlines() if "word" not in line and "one" not in line]
    assert said == []
    done = run(desk, "desk.mar", "mixed.jsonl", "--verbose", code=1)
    trace = done.stderr[done.stderr.index("Traceback") :]
    assert 'desk.py", line 27, in deeper\n    return 1 / 0' in trace
    assert "mar_core/" not in trace, "the plumbing is left out"
    assert done.stderr.count("ZeroDivisionError: division by zero") == 1


def test_dry_run_loads_nothing(desk):
    (desk / "bomb.py").write_text("raise SystemExit('imported')\ndef handle(data, context): ...\n")
    words = ("--handler", "bomb.py", "pair.jsonl", "a.txt", "nosuch.txt", "--dry-run")
    done = run(desk, *words, "--workers", "2", "--batch-size", "auto")
    assert done.stdout.splitlines() == [
        "model       bomb",
        "handler     bomb.py (a file of the archive)",
        "environment mar's own",
        "device      cpu",
        "engine      local, in 2 worker processes",
        "batch size  auto",
        "inputs      4: pair.jsonl:1, pair.jsonl:2, a.txt, nosuch.txt",
    ]
    found = json.loads(run(desk, *words, "--json").stdout)
    assert (found["workers"], found["batch_size"], found["inputs"]) == (1, 1, 4)
    assert run(desk, *words, "--device", "cuda:7", code=2).stderr.startswith("mar: error: The dev")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_fail_fast(desk, workers):
    (desk / "many.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(500)))
    words = ("desk.mar", "mixed.jsonl", "many.jsonl", "--fail-fast", "--workers", workers)
    found = rows(run(desk, *words, code=1))
    assert [row["id"] for row in found] == ["mixed.jsonl:1", "mixed.jsonl:2"]
    assert "error" in found[-1]


def test_unordered_gives_the_same_rows(desk):
    (desk / "count.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(200)))
    ordered = rows(run(desk, "desk.mar", "count.jsonl", "--workers", "2", "--batch-size", "3"))
    words = ("desk.mar", "count.jsonl", "--workers", "2", "--batch-size", "3", "--unordered")
    shuffled = rows(run(desk, *words))
    assert sorted(shuffled, key=json.dumps) == sorted(ordered, key=json.dumps)
    assert [row["id"] for row in ordered] == [f"count.jsonl:{n}" for n in range(1, 201)]


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "tsv", "parquet"])
def test_outputs(desk, ending):
    output = desk / f"out.{ending}"
    done = run(desk, "desk.mar", "mixed.jsonl", "--output", output.name, code=1)
    assert done.stdout == ""
    match ending:
        case "jsonl":
            found = [json.loads(line) for line in output.read_text().splitlines()]
        case "json":
            found = json.loads(output.read_text())
        case "parquet":
            from pyarrow import parquet

            found = parquet.read_table(output).to_pylist()
        case _:
            with output.open(newline="") as stream:
                dialect = "excel" if ending == "csv" else "excel-tab"
                found = list(csv.DictReader(stream, dialect=dialect))
    assert [row["id"] for row in found] == [f"mixed.jsonl:{n}" for n in range(1, 5)]
    kind = "error_type" if ending in {"csv", "tsv", "parquet"} else "error"
    assert [bool(row.get("result")) for row in found] == [True, False, False, False]
    assert [bool(row.get(kind)) for row in found] == [False, True, True, True]
    left = {path.name for path in desk.glob("out.*") if f".{ending}" in path.suffixes}
    assert left == {output.name, f"{output.name}.run"}


@pytest.mark.parametrize("workers", ["0", "1"])
def test_bytes_and_tensors_go_to_files(desk, workers):
    (desk / "blobs.py").write_text(
        "import numpy\n"
        "def handle(data, context):\n"
        "    row = {'mask': numpy.eye(3), 'raw': b'\\x89PNG\\r\\n\\x1a\\n', 'n': numpy.int64(4)}\n"
        "    return [row] * len(data) if data else None\n"
    )
    words = ("--handler", "blobs.py", "a.txt", "--output-dir", f"blobs{workers}")
    (row,) = rows(run(desk, *words, "--workers", workers))
    mask, raw = row["result"]["mask"], row["result"]["raw"]
    assert (mask["shape"], mask["dtype"], row["result"]["n"]) == ([3, 3], "float64", 4)
    assert (desk / mask["file"]).read_bytes()[:6] == b"\x93NUMPY"
    assert (desk / raw["file"]).read_bytes() == b"\x89PNG\r\n\x1a\n"
    assert (desk / raw["file"]).suffix == ".png"


def test_the_reader_of_a_pipe_may_leave(desk):
    (desk / "long.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(3000)))
    command = " ".join(map(str, (*COMMAND, "run", "desk.mar", "long.jsonl")))
    done = subprocess.run(
        ["bash", "-c", f"{command} 2>err.txt | head -1; echo ${{PIPESTATUS[0]}}"],
        cwd=desk, capture_output=True, text=True, check=True,
    )  # fmt: skip
    first, code = done.stdout.splitlines()
    assert json.loads(first)["id"] == "long.jsonl:1"
    assert code == "0"
    said = (desk / "err.txt").read_text()
    assert "Traceback" not in said
    assert "Broken pipe" not in said
    assert "BrokenPipeError" not in said


MISTAKES = [
    ((), "There is nothing to run."),
    (("desk.mar",), "There are no inputs."),
    (("nosuch.mar", "a.txt"), "There is no archive 'nosuch.mar'."),
    (("a.txt", "b.txt"), "It is a text file, not a model archive."),
    (("--handler", "nosuch.py", "a.txt"), "There is no handler file nosuch.py."),
    (("--handler", "image_classifer", "a.txt"), "Did you mean image_classifier"),
    (("desk.mar", "a.txt", "--serialized-file", "w.pt"), "--serialized-file describes what is not"),
    (("desk.mar", "a.txt", "--batch-size", "many"), "--batch-size many is no size."),
    (("desk.mar", "a.txt", "--batch-size", "0"), "--batch-size 0 is no size."),
    (("desk.mar", "a.txt", "--output", "out.xyz"), "The ending of out.xyz says no format."),
    (("desk.mar", "a.txt", "--output", "nosuch/"), "nosuch"),
    (("desk.mar", "a.txt", "--resume"), "Standard output cannot be resumed."),
    (("desk.mar", "a.txt", "--engine", "warp"), "There is no engine 'warp'; there are: local"),
    (("desk.mar", "a.txt", "--device", "tpu"), "There is no device 'tpu'."),
    (("desk.mar", "a.txt", "-H", "nonsense"), "nonsense"),
    (("desk.mar", "-F", "nonsense"), "-F 'nonsense' is no field."),
    (
        ("desk.mar", "a.txt", "--profile", "p", "--workers", "1"),
        "--profile runs in this process",
    ),
    (
        ("desk.mar", "a.txt", "--in-process", "--engine", "ray"),
        "--in-process runs in this process, and --engine ray elsewhere.",
    ),
]


@pytest.mark.parametrize(("words", "sentence"), MISTAKES, ids=lambda value: str(value)[:60])
def test_mistakes_are_sentences(desk, words, sentence, monkeypatch, capsys):
    monkeypatch.chdir(desk)
    before = sorted(desk.iterdir())
    with pytest.raises(MarError) as caught:
        mar_here("run", *words)
    assert caught.value.exit_code == 2
    assert sentence in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2
    assert capsys.readouterr() == ("", "")
    assert sorted(desk.iterdir()) == before


def test_profile(desk):
    (desk / "sums_of_tensors.py").write_text(
        "import torch\n"
        "def handle(data, context):\n"
        "    return [float(torch.ones(9, 9).matmul(torch.ones(9, 9)).sum())] if data else None\n"
    )
    words = ("--handler", "sums_of_tensors.py", "a.txt", "b.txt", "--profile", "profile")
    done = run(desk, *words)
    assert [row["result"] for row in rows(done)] == [729.0, 729.0]
    table = (desk / "profile" / "sums_of_tensors.txt").read_text()
    assert "aten::mm" in table
    assert re.search(r"\binference\b", table)
    events = json.loads((desk / "profile" / "sums_of_tensors.trace.json").read_text())[
        "traceEvents"
    ]
    names = [event["name"] for event in events]
    assert {"preprocess", "inference", "postprocess", "aten::mm"} <= set(names)
    assert f"profile{'/'}sums_of_tensors.txt" in done.stderr
