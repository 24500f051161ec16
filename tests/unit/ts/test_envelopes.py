"""Envelopes with more than one request in a batch; TorchServe's own results are in the zoo."""

from __future__ import annotations

import json

import pytest

from mar_core import Context, PredictionException
from mar_core.ts.context import begin_batch
from mar_core.ts.envelopes import find_envelope


def answer(name, rows, handle, *, headers=({},)):
    context = Context("m", None, {"model": {"modelName": "m", "modelVersion": "2"}}, 8, None, "")
    told = [*headers, *({} for _ in rows)][: len(rows)]
    begin_batch(context, [f"r{index}" for index in range(len(rows))], told)
    return find_envelope(name)(handle).handle(rows, context)


def double(data, context):
    return [2 * value for value in data]


def v2(name, values, **extra):
    entry = {"name": name, "shape": [len(values)], "datatype": "INT64", "data": values}
    return {"inputs": [entry], **extra}


def test_body():
    rows = [{"data": 1}, {"body": 2}, {"data": 0, "body": 9}, {"data": ""}]
    assert answer("body", rows, lambda data, _: data) == [1, 2, 0, ""]


def test_json():
    rows = [
        {"body": {"instances": [1, 2, 3]}},
        {"data": b'{"instances": [4]}'},
        {"instances": []},
        {"instances": [5, 6]},
    ]
    expected = ['{"predictions": [2, 4, 6]}', '{"predictions": [8]}', '{"predictions": []}']
    assert answer("json", rows, double) == [*expected, '{"predictions": [10, 12]}']


def test_json_decodes_base64():
    rows = [{"instances": [{"b64": "YQ=="}, {"x": {"b64": "Yg=="}, "y": {"z": 1}}]}]
    seen = []
    answer("json", rows, lambda data, _: seen.extend(data) or [1, 2])
    assert seen == [b"a", {"x": b"b", "y": {"z": 1}}]


def test_kserve():
    rows = [{"body": {"instances": [1, 2]}}, {"data": bytearray(b'{"instances": [3]}')}]
    assert answer("kserve", rows, double) == [{"predictions": [2, 4]}, {"predictions": [6]}]
    explained = answer("kserve", rows, double, headers=[{"explain": "True"}])
    assert explained == [{"explanations": [2, 4]}, {"explanations": [6]}]


def test_kserve_takes_any_result_of_a_single_request():
    rows = [{"body": {"instances": [1, 2]}}]
    assert answer("kserve", rows, lambda *_: ["all"]) == [{"predictions": ["all"]}]


def test_kservev2():
    rows = [
        {"body": v2("one", [1, 2], id="first")},
        {"data": json.dumps(v2("two", [3])).encode()},
    ]
    found = answer("kservev2", rows, lambda data, _: [one["data"] for one in data])
    assert [(one["id"], one["model_name"], one["model_version"]) for one in found] == [
        ("first", "m", "2"),
        ("r1", "m", "2"),
    ]
    assert found[0]["outputs"] == [
        {"name": "one", "datatype": "INT64", "data": [1, 2], "shape": (2,)}
    ]
    assert found[1]["outputs"][0]["name"] == "two"


def test_kservev2_types():
    matrix = {"name": "a", "shape": [2, 1], "datatype": "FP32", "data": [1.5, 2.5]}
    text = {"name": "b", "shape": [1], "datatype": "BYTES", "data": ["hello"]}
    seen = []

    def handle(data, context):
        seen.extend(one["data"] for one in data)
        assert context.input_names == ["a", "b"]
        return [True, "text", 1.5]

    found = answer("kservev2", [{"body": {"inputs": [matrix, text]}}], handle)
    assert seen == [[[1.5], [2.5]], "hello"]
    assert [(one["name"], one["datatype"]) for one in found[0]["outputs"]] == [
        ("a", "BOOL"),
        ("b", "BYTES"),
        ("output-2", "FP64"),
    ]


@pytest.mark.parametrize("name", ["json", "kserve"])
def test_results_that_cannot_be_told_apart(name):
    rows = [{"instances": [1, 2]}, {"instances": [3]}]
    with pytest.raises(PredictionException, match="returned 1 results for 3 instances in 2 req"):
        answer(name, rows, lambda *_: ["one"])


@pytest.mark.parametrize(
    ("name", "row", "sentence"),
    [
        ("json", {"body": "{"}, "The request is not JSON"),
        ("json", {"body": b"\xff"}, "The request is not JSON"),
        ("kserve", {"body": [1]}, "The request is a list, not a JSON object."),
        ("kserve", {"body": {"x": 1}}, "no list under 'instances'"),
        ("kservev2", {"body": {"x": 1}}, "no list under 'inputs'"),
        ("kservev2", {"body": v2("a", [1, 2]) | {"inputs": [{"name": "a"}]}}, "Input 'a' has no"),
        (
            "kservev2",
            {"body": {"inputs": [{"name": "a", "shape": [5], "datatype": "FP32", "data": [1]}]}},
            "Input 'a': cannot reshape array of size 1 into shape",
        ),
    ],
)
def test_requests_that_are_refused(name, row, sentence):
    with pytest.raises(PredictionException, match=sentence) as caught:
        answer(name, [row], double)
    assert caught.value.error_code == 400


def test_nothing_goes_through_as_it_is():
    assert answer("kserve", [{"instances": [1]}], lambda *_: None) is None
    assert answer("body", [], lambda data, _: data) == []
