"""What counts as a failure of an answer, and what a failure says that can be done."""

from __future__ import annotations

import io
import json

import pytest

from mar_core import Failure, Outcome, OutputError, Response, WriteOptions
from mar_core.run.writers import open_writer
from mar_core.run.writers.base import StreamOutput, to_row


def written(tmp_path, outcome, **options):
    with open_writer(tmp_path / "out.jsonl", options=WriteOptions(**options)) as writer:
        (found,) = writer.write([outcome])
    (row,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    return found, row


@pytest.mark.parametrize(
    ("status", "phrase", "result", "said"),
    [
        (399, "Odd", "x", None),
        (400, " No way ", "x", ("Bad Request", "No way")),
        (404, "", " not here ", ("Not Found", "not here")),
        (404, "", "", ("Not Found", "Not Found")),
        (503, "", {"a": 1}, ("Service Unavailable", "Service Unavailable")),
        (503, "Later", {"a": 1}, ("Service Unavailable", "Later")),
        (799, "", None, ("Status 799", "Status 799")),
    ],
)
def test_a_status_of_400_or_more_is_a_failure_and_keeps_its_answer(
    tmp_path, status, phrase, result, said
):
    outcome = Outcome(
        index=0, id="a", result=result, response=Response(status=status, phrase=phrase)
    )
    found, row = written(tmp_path, outcome)
    assert row["result"] == result
    if said is None:
        assert found.failure is None
        assert "error" not in row
    else:
        assert (found.failure.stage, found.failure.code) == ("response", status)
        assert (found.failure.type, found.failure.message) == said
        assert row["error"]["message"] == said[1]


BYTES = "'dict' object has no attribute 'decode'"


@pytest.mark.parametrize(
    ("stage", "kind", "message", "hint"),
    [
        ("preprocess", "AttributeError", BYTES, "expects bytes: send the file with -T"),
        ("inference", "TypeError", "a bytes-like object is required, not 'str'", "expects bytes"),
        (
            "preprocess",
            "AttributeError",
            "'bytearray' object has no attribute 'get'",
            "-H 'content",
        ),
        ("preprocess", "AttributeError", "'bytes' object has no attribute 'format'", "text/plain"),
        ("preprocess", "InputError", "A dict is no text.", "with --column NAME"),
        ("preprocess", "ValueError", BYTES, None),
        ("preprocess", "AttributeError", "A dict is no text.", None),
        ("read", "AttributeError", BYTES, None),
        ("preprocess", "AttributeError", "something else", None),
    ],
)
def test_a_failure_that_is_about_the_form_of_a_request_says_how_to_send_it(
    tmp_path, stage, kind, message, hint
):
    failure = Failure(stage=stage, type=kind, message=message, code=400)
    found, row = written(tmp_path, Outcome(index=0, id="a", failure=failure))
    assert row["error"]["message"] == found.failure.message
    assert "result" not in row
    if hint is None:
        assert found.failure == failure
    else:
        assert found.failure.message.startswith(f"{message.rstrip('.')}. ")
        assert hint in found.failure.message


def test_the_best_labels_alone(tmp_path):
    labels = {"cat": 0.2, "dog": 0.7, "bird": 0.1}
    found, row = written(tmp_path, Outcome(index=0, id="a", result=labels), top=2)
    assert list(row["result"].items()) == [("dog", 0.7), ("cat", 0.2)]
    assert found.result == row["result"]
    _, row = written(tmp_path, Outcome(index=0, id="a", result=labels))
    assert row["result"] == labels


def test_what_a_handler_said_of_an_answer_goes_into_its_row_on_demand():
    response = Response(status=0, phrase="", content_type="a/b", headers={})
    outcome = Outcome(index=0, id="a", result=1, response=response)
    assert to_row(outcome) == {"id": "a", "result": 1}
    told = to_row(outcome, details=True)["response"]
    assert told == {"status": 0, "content_type": "a/b"}


class Stream(io.TextIOBase):
    """Standard output of a process whose disk is full, or that was started without one."""

    def __init__(self, number):
        self.number = number

    def write(self, text):
        raise OSError(self.number, "as the system says it")


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (9, "Standard output is closed. Open it, or name a file with --output."),
        (28, "Standard output cannot be written: as the system says it."),
    ],
)
def test_standard_output_that_takes_nothing(number, told):
    output = StreamOutput(Stream(number))
    with pytest.raises(OutputError) as caught:
        output.write([Outcome(index=0, id="a", result=1)])
    assert str(caught.value) == told
    with pytest.raises(BrokenPipeError):
        StreamOutput(Stream(32)).write([Outcome(index=0, id="a", result=1)])
