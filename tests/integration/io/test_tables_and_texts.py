"""Tables for people's next tool: flat columns, the best labels, columns carried along, texts."""

from __future__ import annotations

import csv
import json

import pytest
from packs import mar
from pyarrow import parquet

HANDLER = """
def handle(data, context):
    if data is None:
        return None
    return [answer(row.get("data", row.get("body"))) for row in data]

def answer(value):
    if isinstance(value, (bytes, bytearray)):
        return value.decode()
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind == "classes":
        return {"dog": 0.25, "cat": 0.5, "cow": 0.25}
    if kind == "objects":
        return [{"dog": [1, 2, 3, 4], "score": 0.25}, {"cat": [5.5, 6, 7, 8], "score": 0.75}]
    if kind == "number":
        return {"value": int(value["n"]), "inner": {"ok": True, "text": "x"}, "none": None}
    if kind == "raise":
        raise ValueError("no such kind")
    return value
"""
ROWS = "kind,n,label\nclasses,1,dog\nobjects,2,cat\nnumber,3,\nraise,4,cow\n"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    (folder / "desk.py").write_text(HANDLER)
    words = ("--model-name", "desk", "--version", "1.0", "--handler", "desk.py", "-q")
    mar("archive", *words, cwd=folder)
    (folder / "rows.csv").write_text(ROWS)
    (folder / "rows.jsonl").write_text('{"kind": "number", "n": "7", "label": "dog"}\n')
    (folder / "texts.txt").write_text("good\n\nso so\r\nbad")
    return folder


def run(desk, *words, code=0):
    done = mar("run", "desk.mar", *words, "-q", cwd=desk, code=code)
    return [json.loads(line) for line in done.stdout.splitlines()]


def table(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_flat_columns_have_types(desk):
    words = ("rows.csv", "--flat", "--keep", "label", "--keep", "n", "--force")
    for ending in ("csv", "parquet"):
        run(desk, *words, "-o", f"flat.{ending}", code=1)
    rows = parquet.read_table(desk / "flat.parquet").to_pylist()
    assert [(row["id"], row["label"], row["score"], row["box_0"], row["n"]) for row in rows] == [
        ("rows.csv:1", "dog", 0.5, None, "1"),
        ("rows.csv:2", "cat", 0.25, 1.0, "2"),
        ("rows.csv:2", "cat", 0.75, 5.5, "2"),
        ("rows.csv:3", "", None, None, "3"),
        ("rows.csv:4", "cow", None, None, "4"),
    ]
    assert [row["result_label"] for row in rows] == ["cat", "dog", "cat", None, None]
    assert (rows[3]["value"], rows[3]["inner_ok"], rows[3]["inner_text"]) == (3, True, "x")
    assert (rows[4]["error_type"], rows[4]["error_code"]) == ("ValueError", 503)
    types = {field.name: str(field.type) for field in parquet.read_schema(desk / "flat.parquet")}
    assert {types[name] for name in ("score", "box_0", "box_3")} == {"double"} | {types["box_3"]}
    assert (types["value"], types["inner_ok"], types["id"]) == ("int64", "bool", "string")
    assert types["box_3"] == "int64"
    found = table(desk / "flat.csv")
    assert [row["score"] for row in found] == ["0.5", "0.25", "0.75", "", ""]
    assert list(found[0])[:3] == ["id", "label", "n"]


def test_the_best_labels(desk):
    rows = run(desk, "rows.csv", "--top", "1", "--limit", "2")
    assert [row["result"] for row in rows] == [
        {"cat": 0.5}, [{"cat": [5.5, 6, 7, 8], "score": 0.75}],
    ]  # fmt: skip
    run(desk, "rows.csv", "--top", "2", "--flat", "-o", "top.csv", "--limit", "1")
    (row,) = table(desk / "top.csv")
    assert (row["label"], row["score"], row["label_2"], row["score_2"]) == (
        "cat",
        "0.5",
        "dog",
        "0.25",
    )


def test_columns_are_carried_along(desk):
    rows = run(desk, "rows.csv", "rows.jsonl", "--keep", "label", "--keep", "n", code=1)
    assert [row["input"] for row in rows] == [
        {"label": "dog", "n": "1"}, {"label": "cat", "n": "2"}, {"label": "", "n": "3"},
        {"label": "cow", "n": "4"}, {"label": "dog", "n": "7"},
    ]  # fmt: skip
    rows = run(desk, "rows.csv", "--column", "kind", "--keep", "n", "--limit", "1")
    assert rows == [{"id": "rows.csv:1", "result": "classes", "input": {"n": "1"}}]
    run(desk, "rows.csv", "--keep", "label", "-o", "kept.csv", "--limit", "1")
    assert table(desk / "kept.csv")[0]["label"] == "dog"
    (row,) = run(desk, "rows.csv", "--keep", "nosuch", code=1)
    assert "There is no column 'nosuch'. The columns are kind, n, label." in row["error"]["message"]


def test_the_truth_is_carried_along_and_counted(desk):
    words = ("run", "desk.mar", "rows.csv", "--truth", "label", "-o", "truth.csv", "--force")
    done = mar(*words, cwd=desk, code=1)
    assert [row["truth"] for row in table(desk / "truth.csv")] == ["dog", "cat", "", "cow"]
    assert "right: 1 of 2, 50.0%" in done.stderr
    assert "1 of 4 inputs without a true label by --truth." in done.stderr
    (row,) = run(desk, "rows.csv", "--truth", "label", "--limit", "1")
    assert row["input"] == {"truth": "dog"}


@pytest.mark.parametrize(
    "words",
    [("desk.mar", "--truth", "no.csv"), ("desk.mar", "--engine", "no"), ("--handler", "bad.py")],
    ids=str,
)
def test_what_cannot_run_costs_no_output(desk, words):
    run(desk, "rows.csv", "-o", "kept.jsonl", "--limit", "1")
    before = (desk / "kept.jsonl").read_bytes()
    (desk / "bad.py").write_text("raise RuntimeError('no')\n\ndef handle(data, context): ...\n")
    mar("run", *words, "rows.csv", "-o", "kept.jsonl", cwd=desk, code=2)
    assert (desk / "kept.jsonl").read_bytes() == before


def test_a_text_a_line(desk):
    rows = run(desk, "texts.txt", "rows.jsonl", "--lines")
    assert [(row["id"], row["result"]) for row in rows[:3]] == [
        ("texts.txt:1", "good"), ("texts.txt:3", "so so"), ("texts.txt:4", "bad"),
    ]  # fmt: skip
    assert rows[3]["id"] == "rows.jsonl:1"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--flat",), "--flat is for tables"),
        (("--flat", "-o", "x.jsonl"), "--flat is for tables, and x.jsonl is no table"),
        (("--flat", "-o", "x.html"), "--flat is for tables, and x.html is no table"),
        (("--truth", "nosuch.csv"), "nosuch.csv cannot be read: No such file or directory."),
        (("--truth", "rows.csv", "-o", "rows.csv"), "rows.csv is read and written by one run."),
        (("--keep", "n", "-F", "a=1"), "Both the input"),
        (("--lines", "-H", "content-type: a/b"), "--lines is for rows"),
    ],
)
def test_flags_that_clash(desk, words, says):
    done = mar("run", "desk.mar", "rows.csv", *words, cwd=desk, code=2)
    assert says in done.stderr
