"""A signature as a record: read strictly, written back the same, said in JSON Schema."""

from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mar_core import Signature
from mar_core.signature import SignatureError
from mar_core.signature.record import TYPES

BOXES = {
    "name": "boxes",
    "type": "list",
    "items": {
        "type": "object",
        "fields": {"score": {"type": "float32"}},
        "values": {"type": "float32", "shape": [4]},
    },
    "description": "What was found.",
    "example": [{"dog": [1, 2, 3, 4], "score": 0.5}],
}
EVERYTHING = {
    "origin": "handler",
    "inputs": [
        {"name": "picture", "type": "image"},
        {"name": "limits", "type": "tensor", "dtype": "int64", "shape": [-1, 2]},
    ],
    "outputs": [
        BOXES,
        {"name": "map", "any_of": [{"type": "bool", "shape": None}, {"type": "bytes"}]},
    ],
}
KNOWN = f", where one of {', '.join(TYPES)} is expected."
NO_SHAPE = (
    "not a list of lengths, where -1 is any length and None in place of the list is any shape."
)


def test_what_is_read_is_written_back():
    signature = Signature.from_dict(EVERYTHING)
    assert signature.to_dict() == EVERYTHING
    assert Signature.from_dict(json.loads(json.dumps(signature.to_dict()))) == signature


def test_tuples_and_what_goes_without_saying():
    given_ = {"inputs": ({"name": "x", "type": "float32", "shape": (3, -1)},)}
    (field,) = Signature.from_dict(given_).inputs
    assert field.shape == (3, -1)
    assert field.to_dict() == {"name": "x", "type": "float32", "shape": [3, -1]}
    assert Signature.from_dict({}).outputs == ()
    assert not Signature.from_dict({})


def test_a_field_in_short():
    shown = [str(one) for one in Signature.from_dict(EVERYTHING).outputs]
    assert shown == ["list of {score: float32, *: float32[4]}", "bool[…] or bytes"]
    shown = [str(one) for one in Signature.from_dict(EVERYTHING).inputs]
    assert shown == ["image", "tensor int64[*, 2]"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("text", "A signature is a dict with inputs and outputs."),
        ({"input": []}, "A signature has inputs and outputs, and no 'input'."),
        ({"origin": "sky"}, "The origin of a signature is handler or examples."),
        ({"inputs": {"name": "x"}}, "inputs is not a list of fields."),
        ({"inputs": ["x"]}, 'inputs[0] is not a dict such as {"name": "data", "type": "image"}.'),
        ({"inputs": [{"name": "x"}]}, "inputs[0] has no type."),
        ({"inputs": [{"type": "json"}]}, "inputs[0] has no name."),
        (
            {"inputs": [{"name": "x", "type": "json"}, {"name": "x", "type": "json"}]},
            "inputs[1] has the name 'x' of another.",
        ),
        (
            {"outputs": [{"name": "x", "type": "flaot32"}]},
            f"outputs[0].type is 'flaot32' (did you mean float32?){KNOWN}",
        ),
        (
            {"outputs": [{"name": "x", "type": "json", "shpae": []}]},
            "outputs[0] has no key 'shpae' (did you mean shape?).",
        ),
        (
            {"outputs": [{"name": "x", "type": "list", "items": {"type": "int64", "shape": 3}}]},
            f"outputs[0].items.shape is {NO_SHAPE}",
        ),
        (
            {"inputs": [{"name": "x", "type": "string", "shape": [1]}]},
            "inputs[0] is string, which has no shape.",
        ),
        (
            {"inputs": [{"name": "x", "type": "string", "items": {"type": "json"}}]},
            "inputs[0] is string; only a list has items.",
        ),
        (
            {"inputs": [{"name": "x", "type": "list", "fields": {"a": {"type": "json"}}}]},
            "inputs[0] is list; only an object has fields and values.",
        ),
        (
            {"inputs": [{"name": "x", "type": "float32", "dtype": "int8"}]},
            "inputs[0] has a dtype; that of float32 is its type.",
        ),
        (
            {"inputs": [{"name": "x", "type": "json", "any_of": [{"type": "json"}]}]},
            "inputs[0] has a type and any_of; give one of them.",
        ),
        (
            {"inputs": [{"name": "x", "type": "json", "description": "two\nlines"}]},
            "inputs[0].description is not one line of text of at most 1000 characters.",
        ),
        (
            {"inputs": [{"name": "x", "type": "json", "example": {1, 2}}]},
            "inputs[0].example is no JSON value.",
        ),
    ],
)
def test_what_is_no_signature_is_told_where(data, sentence):
    with pytest.raises(SignatureError) as refused:
        Signature.from_dict(data)
    assert str(refused.value) == sentence


def nested(levels):
    spec = {"type": "json"}
    for _ in range(levels):
        spec = {"type": "list", "items": spec}
    return {"inputs": [{**spec, "name": "x"}]}


def test_signatures_are_bounded():
    Signature.from_dict(nested(8))
    many = {"inputs": [{"name": f"x{n}", "type": "json"} for n in range(201)]}
    for data in (nested(9), nested(60), many):
        with pytest.raises(SignatureError, match="is one too many: 200 fields, 8 levels"):
            Signature.from_dict(data)
    large = {"inputs": [{"name": "x", "type": "json", "example": "x" * 9000}]}
    with pytest.raises(SignatureError, match="more than 8,192 characters"):
        Signature.from_dict(large)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["inputs", "outputs", "name", "type", "shape", "items", "fields"]),
            inner | st.sampled_from(["image", "float32", "list", "object"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(ANYTHING)
def test_anything_is_a_signature_or_a_sentence(data):
    try:
        signature = Signature.from_dict(data)
    except SignatureError as refused:
        signature, sentence = Signature(), str(refused)
    else:
        sentence = "."
    assert sentence.endswith(".")
    assert Signature.from_dict(signature.to_dict()) == signature
    for field in (*signature.inputs, *signature.outputs):
        jsonschema.Draft202012Validator.check_schema(field.json_schema())
        assert str(field)


@pytest.mark.parametrize(
    ("spec", "good", "bad"),
    [
        ({"type": "string"}, ["", "a"], [1, None]),
        ({"type": "float32"}, [1, 0.5], ["1", [1.0], True]),
        ({"type": "int64", "shape": [2, -1]}, [[[1], []]], [[[1]], [1, 2], [[0.5], [1]]]),
        ({"type": "bool"}, [True], [0]),
        ({"type": "object", "values": {"type": "float32"}}, [{}, {"a": 1}], [{"a": "b"}, []]),
        (
            BOXES,
            [[], [{"cat": [1, 2, 3, 4.5], "score": 1}]],
            [{}, [{"cat": [1, 2, 3, 4]}], [{"score": "high"}], [{"cat": [1], "score": 1}]],
        ),
        ({"any_of": [{"type": "string"}, {"type": "bool"}]}, ["a", True], [1]),
        ({"type": "json"}, [None, 1, {}], []),
    ],
)
def test_json_schema_says_the_same(spec, good, bad):
    (field,) = Signature.from_dict({"inputs": [{**spec, "name": "x"}]}).inputs
    validator = jsonschema.Draft202012Validator(field.json_schema())
    assert [value for value in good if not validator.is_valid(value)] == []
    assert [value for value in bad if validator.is_valid(value)] == []
