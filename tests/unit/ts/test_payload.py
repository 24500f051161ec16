"""What a request carries is found at one place, however it came."""

from __future__ import annotations

import pytest

from mar_core import PredictionException, as_text, fields_of, payload


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"data": 1, "body": 2}, 1), ({"body": b"x"}, b"x"), ({"data": None, "body": 0}, 0),
        ({"data": [], "x": 1}, []), ({"data": {"data": 3}}, {"data": 3}), ("bare", "bare"), (7, 7),
        (None, None),
    ],
)  # fmt: skip
def test_data_else_body_else_itself(row, found):
    assert payload(row) == found
    assert payload(row, form=True) == found


def test_a_form_is_its_fields():
    row = {"question": b"who?", "image": b"\xff\xd8", "parameters": "{}"}
    with pytest.raises(PredictionException, match="has 'question', 'image', 'parameters', where"):
        payload(row)
    assert payload(row, form=True) is row
    assert fields_of(row) == {"question": "who?", "image": b"\xff\xd8", "parameters": "{}"}
    for empty in ({}, {"data": ""}, {"body": b""}):
        with pytest.raises(PredictionException) as refused:
            payload(empty, form=True)
        assert refused.value.error_code == 400


def test_fields_beside_and_inside():
    assert fields_of({"data": [1], "top_k": b"3"}) == {"top_k": "3"}
    assert fields_of({"body": {"text": "a", "n": 1}, "n": 2, "m": 3}) == {
        "text": "a",
        "n": 1,
        "m": 3,
    }
    assert fields_of("bare") == {}


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_texts(kind):
    assert as_text("grüß") == as_text(kind("grüß".encode())) == "grüß"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (b"a\xff", r"The query is not UTF-8 \(byte 1\)\."),
        (3, "The query is of type int, where a text is expected."),
        ("\ud800", "The query holds half of a character: a lone surrogate."),
    ],
)
def test_what_is_no_text_says_so(value, sentence):
    with pytest.raises(PredictionException, match=sentence):
        as_text(value, "the query")
