"""What people see of results on a terminal."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from mar_core import Failure, Outcome, Response
from mar_core.run.render import brief, error_line
from mar_core.run.shapes import label_scores
from mar_core.run.writers import open_writer

LABELS = {"lynx": 0.05, "tabby": 0.612, "tiger cat": 0.2, "Egyptian cat": 0.1}


def show(*outcomes, width=80, batches=1, **more):
    stream = io.StringIO()
    console = Console(file=stream, width=width, color_system=None)
    with open_writer(None, console=console, **more) as writer:
        for _ in range(batches):
            writer.write(outcomes)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def outcome(result=None, name="x.png", **more):
    return Outcome(index=0, id=name, result=result, **more)


def test_a_single_picture_gives_labels_with_bars():
    assert show(outcome(LABELS, "kitten.jpg")) == [
        "kitten.jpg",
        " tabby         ██████████████▋           61.2%",
        " tiger cat     ████▊                     20.0%",
        " Egyptian cat  ██▍                       10.0%",
        " lynx          █▏                         5.0%",
    ]


def test_a_single_picture_with_found_objects():
    found = [{"dog": [1.0, 2.0, 3.0, 4.0], "score": 0.5}, {"cat": [0, 0, 1, 1], "score": 0.75}]
    assert show(outcome(found)) == [
        "x.png", " cat  ██████████████████        75.0%", " dog  ████████████              50.0%",
    ]  # fmt: skip


def test_a_single_picture_with_segments():
    """Several have one label, and what is said of each counts."""
    mask = Image.new("1", (4, 3))
    found = [
        {"label": "cat", "score": 0.5, "mask": mask},
        {"label": "cat", "score": 0.75, "mask": mask, "area": 12},
    ]
    assert show(outcome(found)) == [
        "x.png", " cat  75.0%  mask picture 1 4x3; area 12", " cat  50.0%  mask picture 1 4x3",
    ]  # fmt: skip


def test_many_labels_are_cut():
    lines = show(outcome({f"label {n}": 1 / 1000 for n in range(1000)}))
    assert len(lines) == 22
    assert lines[-1] == " 980 more"


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        (7, ["7"]),
        ("two\nlines", ["two", "lines"]),
        ({"a": 1, "b": "c"}, ["{", '  "a": 1,', '  "b": "c"', "}"]),
        ([1.5, 2.0], ["[1.5, 2]"]),
        (None, ["null"]),
        (b"\x00\x01", ["2 bytes"]),
        ({"base64": "AAE="}, ["2 bytes"]),
        ({"base64": "AAE"}, ["{", '  "base64": "AAE"', "}"]),
        ({"mask": {"base64": "R0lGODlh"}}, ["{", '  "mask": "6 bytes (.gif)"', "}"]),
        (torch.zeros(3, 4), ["float32 3x4"]),
        (np.zeros((100,), dtype="int8"), ["int8 100"]),
        (torch.tensor([1.0, 2.5]), ["[1, 2.5]"]),
        (Image.new("L", (3, 2)), ["picture L 3x2"]),
    ],
)
def test_a_single_result_of_any_kind(result, lines):
    assert show(outcome(result)) == ["x.png", *lines]


def test_a_single_failure():
    failed = outcome(failure=Failure(stage="inference", type="ValueError", message="no\nway"))
    assert show(failed) == ["x.png", "  ValueError in inference: no way"]


def test_text_that_was_streamed_comes_first():
    assert show(outcome("end.", streamed=("once ", "upon "))) == ["x.png", "once upon end."]
    assert show(outcome({"n": 1}, streamed=("a",))) == ["x.png", "{", '  "n": 1', "}"]


def test_several_results_are_a_table():
    lines = show(
        outcome(LABELS, "a.png"),
        outcome(7, "b.png"),
        outcome(
            name="c.png", failure=Failure(stage="read", type="InputError", message="No c.png.")
        ),
        outcome("late", "d.png", response=Response(status=507)),
        width=60,
    )
    assert lines == [
        "input   result",
        "─" * 59,
        "a.png   tabby 61.2%, tiger cat 20.0%, Egyptian cat 10.0%, 1",
        "        more",
        "b.png   7",
        "c.png   No c.png.",
        "d.png   507 Insufficient Storage: late",
    ]


def test_the_table_goes_on_with_the_same_columns():
    lines = show(*[outcome(n, f"{n}.png") for n in range(60)], batches=3)
    assert len(lines) == 2 + 180
    assert [line for line in lines if line.startswith("input")] == lines[:1]
    assert {line.rindex(" ") + 1 for line in lines[2:]} == {lines[0].index("result")}


def test_results_do_not_wait_for_the_end(monkeypatch):
    clock = iter([0.0, 0.1, 1.0, 1.1])
    monkeypatch.setattr("mar_core.run.render.time.monotonic", lambda: next(clock))
    stream = io.StringIO()
    writer = open_writer(None, console=Console(file=stream, width=60))
    writer.write([outcome(1, "a")])
    assert not stream.getvalue(), "it may be the only one"
    writer.write([outcome(2, "b")])
    assert "b" in stream.getvalue()


def test_long_names_and_results_are_folded():
    lines = show(outcome("word " * 40, "folder/" * 20), outcome(1, "b"), width=40)
    assert all(len(line) <= 40 for line in lines)
    assert "".join(line[:18].rstrip() for line in lines[2:-1]) == "folder/" * 20


def test_blobs_that_went_to_files_show_the_file(tmp_path):
    lines = show(
        outcome(b"\x89PNG\r\n\x1a\n", "a"), outcome(1, "b"), output_dir=tmp_path, width=300
    )
    (file,) = tmp_path.iterdir()
    assert str(file) in lines[2]


@given(st.text(), st.text())
def test_nothing_in_a_result_reaches_the_terminal_raw(name, text):
    stream = io.StringIO()
    console = Console(file=stream, width=80, color_system=None)
    with open_writer(None, console=console) as writer:
        writer.write(
            [outcome(f"\x1b]0;{text}\x07", f"\x1b[2J{name}"), outcome({text: "\x9b"}, "b")]
        )
    shown = stream.getvalue()
    assert all(char == "\n" or char.isprintable() for char in shown)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"lat": 52.5, "lon": 13.4}, '{"lat": 52.5, "lon": 13.4}'),
        ({"price": 0.5}, '{"price": 0.5}'),
        ({"a": 0.5, "b": 1}, '{"a": 0.5, "b": 1}'),
        ({"a": 0.5, "b": 0.25}, "a 50.0%, b 25.0%"),
        (list(range(20)), "[0, 1, 2, 3, 4, 5, 6, 7, … 12 more]"),
        ([[0.123456, 2], ["x"]], "[[0.1235, 2], [x]]"),
        (True, "true"), ([], "[]"), ({}, "{}"), ([{}], "[{}]"), (3.0, "3"), (1e-9, "1e-09"),
        ("x" * 300, "x" * 199 + "…"), ({"file": "out/a.pt", "size": 3}, "out/a.pt"),
    ],
)  # fmt: skip
def test_in_brief(value, words):
    assert brief(value) == words


@given(
    st.recursive(
        st.none() | st.floats() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_anything_is_brief(value):
    assert len(brief(value)) <= 2000
    assert "\n" not in brief(value)
    assert label_scores(value) == [] or all(0 <= score <= 1.01 for _, score in label_scores(value))


def test_errors_are_one_line():
    assert error_line(Failure(stage="read", type="InputError", message="There is no\nx.")) == (
        "There is no x."
    )
    assert (
        error_line(Failure(stage="worker", type="Died", message="gone")) == "Died in worker: gone"
    )


def test_a_document_cannot_command_the_terminal():
    shown = "\n".join(show(outcome({"a": "x\x9b31my\x7f\u202e", "b": {"c": 1}})))
    assert "x\\x9b31my\\x7f\\u202e" in shown
    assert shown.replace("\n", "").isprintable()
