"""Answers held against a signature, and signatures that recorded answers show."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from mar_core import Signature
from mar_core.signature.matching import mismatches, observed

PICTURE = Image.new("RGB", (2, 2))


def png():
    stream = io.BytesIO()
    PICTURE.save(stream, "PNG")
    return stream.getvalue()


def field(**spec):
    return Signature.from_dict({"outputs": [{"name": "x", **spec}]}).outputs[0]


BOX = {
    "type": "object",
    "fields": {"score": {"type": "float32"}},
    "values": {"type": "float32", "shape": [4]},
}


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ({"type": "string"}, "a"),
        ({"type": "image"}, PICTURE),
        ({"type": "image"}, b"\x89PNG"),
        ({"type": "float32"}, 1),
        ({"type": "float32"}, "NaN"),
        ({"type": "float32"}, np.float32(2)),
        ({"type": "float32", "shape": [2]}, torch.zeros(2)),
        ({"type": "int64", "shape": [-1, 2]}, [[1, 2], [3, 4]]),
        ({"type": "uint8", "shape": None}, [[[1]]]),
        ({"type": "tensor", "dtype": "float32", "shape": [1, -1]}, torch.zeros(1, 5)),
        ({"type": "tensor", "shape": None}, torch.zeros(1, dtype=torch.int8)),
        ({"type": "tensor", "dtype": "int16", "shape": [2]}, np.zeros(2, dtype="int16")),
        ({"type": "list"}, [1, "a"]),
        ({"type": "list", "items": BOX}, [{"dog": [1, 2, 3, 4], "score": 0.5}]),
        ({"type": "object"}, {"anything": object()}),
        ({"type": "json"}, None),
        ({"any_of": [{"type": "string"}, {"type": "bool"}]}, True),
    ],
)
def test_what_is_as_declared(spec, value):
    assert list(mismatches(field(**spec), value)) == []


@pytest.mark.parametrize(
    ("spec", "value", "sentence"),
    [
        ({"type": "string"}, 3, "answer is int64, where string is declared."),
        ({"type": "bool"}, 1, "answer is int64, where bool is declared."),
        ({"type": "int64"}, 0.5, "answer is float64, where int64 is declared."),
        ({"type": "uint8"}, -1, "answer is int64, where uint8 is declared."),
        ({"type": "float32"}, True, "answer is bool, where float32 is declared."),
        (
            {"type": "float32", "shape": [3]},
            [0.5, 1.5],
            "answer is float64[2], where float32[3] is declared.",
        ),
        (
            {"type": "tensor", "dtype": "float32", "shape": [2]},
            torch.zeros(2, dtype=torch.int64),
            "answer is a tensor of int64 [2], where tensor float32[2] is declared.",
        ),
        (
            {"type": "tensor", "shape": None},
            [0.5],
            "answer is float64[1], where tensor[…] is declared.",
        ),
        ({"type": "image"}, "png", "answer is str 'png', where image is declared."),
        ({"type": "list"}, {"a": 1}, "answer is dict {'a': 1}, where a list is declared."),
        ({"type": "list", "items": BOX}, [{}], "answer[0] has no 'score', which is declared."),
        (
            {"type": "list", "items": BOX},
            [{"score": 1, "dog": [1, 2]}],
            "answer[0].dog is int64[2], where float32[4] is declared.",
        ),
        (
            {"type": "object", "fields": {"a": {"type": "string"}}},
            {"a": "x", "b": 1},
            "answer has 'b', which is not declared.",
        ),
        (
            {"any_of": [{"type": "string"}, {"type": "bool"}]},
            2,
            "answer is int64, where string or bool is declared.",
        ),
    ],
)
def test_what_is_not_as_declared_is_told(spec, value, sentence):
    assert list(mismatches(field(**spec), value)) == [sentence]


def shown(rows, results):
    signature = observed(rows, results)
    assert signature.origin == "examples"
    assert Signature.from_dict(signature.to_dict()) == signature
    fields = (signature.inputs, signature.outputs)
    return [{one.name: str(one) for one in some} for some in fields]


@pytest.mark.parametrize(
    ("rows", "results", "inputs", "outputs"),
    [
        ([], [], {}, {}),
        ([{"body": png()}], [{"cat": 0.9, "dog": 0.1}], {"data": "image"},
         {"result": "{cat: float64, dog: float64}"}),
        ([{"data": "a"}, {"data": "b"}], [{"cat": 0.9}, {"dog": 0.1}], {"data": "string"},
         {"result": "{*: float64}"}),
        ([{"data": [1, 2]}, {"data": [3, 4, 5]}], [3, 0.5], {"data": "int64[*]"},
         {"result": "float64"}),
        ([{"a": b"x", "b": True}], ["x"], {"a": "bytes", "b": "bool"}, {"result": "string"}),
        ([{"a": 1}, {"b": 1}], [[{"n": 1}, {"n": 0.5}]], {},
         {"result": "list of {n: float64}"}),
        ([{"data": [[1.5], [2.5]]}], [None], {"data": "float64[2, 1]"}, {"result": "json"}),
        ([{"data": [1, "a"]}], [[]], {"data": "list of json"}, {"result": "list"}),
    ],
)  # fmt: skip
def test_what_requests_and_answers_show(rows, results, inputs, outputs):
    assert shown(rows, results) == [inputs, outputs]


def test_an_example_is_kept_where_it_is_small():
    signature = observed([{"data": "a"}], [["x" * 2000]])
    assert signature.inputs[0].example == "a"
    assert signature.outputs[0].example is None
    labels = {f"label {n}": n / 100 for n in range(100)}
    assert shown([], [labels]) == [{}, {"result": "{*: float64}"}]
    assert shown([], [{"two\nlines": "x"}]) == [{}, {"result": "{*: string}"}]


@pytest.mark.parametrize("name", ["two\nlines", "x" * 101, "", "\ud800"])
def test_inputs_of_strange_names_are_left_out(name):
    assert shown([{name: 1}], ["a"]) == [{}, {"result": "string"}]


def test_an_answer_of_too_many_parts_is_told_coarsely():
    wide = {f"a{n}": {f"b{m}": m for m in range(15)} for n in range(15)}
    assert shown([{"data": 1}], [wide]) == [{"data": "int64"}, {"result": "json"}]
    assert shown([{"data": wide}], [1]) == [{}, {"result": "int64"}]
    assert shown([{"data": wide}], [wide]) == [{}, {"result": "json"}]


@pytest.mark.parametrize(
    "value", [[[[[[[[[[1, "a"]]]]]]]]], {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": 1}}}}}}}}]
)
def test_deep_values_stay_within_what_a_signature_may_be(value):
    signature = observed([{"data": value}], [value])
    assert Signature.from_dict(signature.to_dict()) == signature
