"""What models take and give, as OpenAPI and KServe's metadata tell it, and as they then do."""

from __future__ import annotations

import base64
import json

import jsonschema
import pytest
import serving
import serving_handlers as handlers

MODELS = {
    "sums": """
signature = {
    "inputs": [{"name": "numbers", "type": "float32", "shape": [2], "example": [1.5, 2]}],
    "outputs": [{"name": "sum", "type": "float32", "description": "Of both."}],
}

def handle(data, context):
    return [sum(row.get("data", row.get("body"))) for row in data or []]
""",
    "odd": """
signature = {
    "inputs": [{"name": "data", "type": "float32", "shape": [2]}],
    "outputs": [{"name": "same", "type": "float32", "shape": [2]}],
}

def handle(data, context):
    return [[float(one) for one in row.get("data", row.get("body"))] for row in data or []]
""",
    "texts": """
signature = {
    "inputs": [{"name": "number", "type": "int64"}],
    "outputs": [{"name": "text", "type": "string"}, {"name": "digits", "type": "int16"}],
}

def handle(data, context):
    numbers = [row.get("data", row.get("body")) for row in data or []]
    return [{"text": str(number), "digits": len(str(number))} for number in numbers]
""",
    "pictures": """
signature = {
    "inputs": [{"name": "data", "type": "image"}],
    "outputs": [{"name": "classes", "type": "object", "values": {"type": "float32"}}],
}

def handle(data, context):
    return [{"bytes": len(row.get("data", row.get("body")))} for row in data or []]
""",
    "pairs": """
signature = {
    "inputs": [{"name": "a", "type": "string"}, {"name": "b", "type": "image"}],
    "outputs": [{"name": "map", "any_of": [{"type": "image"}, {"type": "float32", "shape": [-1]}]}],
}

def handle(data, context):
    return [b"GIF89a" for row in data or []]
""",
}


def tensor(name, datatype, shape, data=None):
    return {"name": name, "datatype": datatype, "shape": shape} | ({"data": data} if data else {})


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signatures")
    models = [handlers.make(folder, name, source) for name, source in MODELS.items()]
    models.append(handlers.make(folder, "echo"))
    with serving.running(*models, folder=folder) as server, server.client() as client:
        yield client


def metadata(client, model):
    told = client.get(f"/v2/models/{model}").json()
    return told["inputs"], told["outputs"]


def test_metadata_lists_the_tensors(client):
    assert metadata(client, "sums") == (
        [tensor("numbers", "FP32", [-1, 2])],
        [tensor("sum", "FP32", [-1])],
    )
    assert metadata(client, "texts") == (
        [tensor("number", "INT64", [-1])],
        [tensor("text", "BYTES", [-1]), tensor("digits", "INT16", [-1])],
    )
    assert metadata(client, "pictures") == (
        [tensor("data", "BYTES", [-1])],
        [tensor("classes", "BYTES", [-1])],
    )
    # A value that is a picture or numbers is no tensor that could be named beforehand.
    assert metadata(client, "pairs") == (
        [tensor("a", "BYTES", [-1]), tensor("b", "BYTES", [-1])],
        [],
    )
    assert metadata(client, "echo") == ([], [])


@pytest.mark.parametrize(
    ("model", "data", "answers"),
    [
        ("sums", [[1.5, 2], [3, 4]], [("sum", [3.5, 7.0])]),
        ("texts", [7, 42], [("text", ["7", "42"]), ("digits", [1, 2])]),
        (
            "pictures",
            [base64.b64encode(b"abc").decode()],
            [("classes", ['{"bytes": 4}'])],
        ),
    ],
)
def test_inference_keeps_what_metadata_says(client, model, data, answers):
    (given,), outputs = metadata(client, model)
    shape = [len(data), *given["shape"][1:]]
    asked = tensor(given["name"], given["datatype"], shape, data)
    answer = client.post(f"/v2/models/{model}/infer", json={"inputs": [asked]})
    assert answer.status_code == 200, answer.text
    got = answer.json()["outputs"]
    assert [(one["name"], one["data"]) for one in got] == answers
    for one, told in zip(got, outputs, strict=True):
        assert (one["name"], one["datatype"]) == (told["name"], told["datatype"])
        assert one["shape"] == [len(data), *told["shape"][1:]]


def test_a_number_that_its_datatype_does_not_hold_comes_in_a_wider_one(client):
    asked = tensor("numbers", "FP64", [1, 2], [3e38, 3e38])
    (got,) = client.post("/v2/models/sums/infer", json={"inputs": [asked]}).json()["outputs"]
    assert (got["name"], got["datatype"], got["data"]) == ("sum", "FP64", [6e38])


def described(client, model):
    document = client.get("/openapi.json").json()
    operation = document["paths"][f"/predictions/{model}"]["post"]
    return operation["requestBody"]["content"], operation["responses"]["200"]["content"]


def test_openapi_says_how_each_model_is_asked(client):
    taken, given = described(client, "sums")
    schema = taken["application/json"]["schema"]
    assert schema["example"] == [1.5, 2]
    jsonschema.validate([1.5, 2], schema)
    answer = client.post("/predictions/sums", json=[1.5, 2])
    jsonschema.validate(answer.json(), given["application/json"]["schema"])
    taken, given = described(client, "pictures")
    assert {"image/*", "application/octet-stream"} < set(taken)
    answer = client.post("/predictions/pictures", content=b"GIF89a")
    jsonschema.validate(answer.json(), given["application/json"]["schema"])
    taken, given = described(client, "pairs")
    (form,) = taken.values()
    assert form["schema"]["required"] == ["a", "b"]
    assert form["schema"]["properties"]["b"]["format"] == "binary"
    assert set(given) == {"image/*", "application/json"}
    files = {"a": "x", "b": b"GIF89a"}
    assert client.post("/predictions/pairs", files=files).content == b"GIF89a"


def test_one_models_own_document_says_the_same(client):
    own = client.options("/predictions/texts").json()["paths"]["/predictions/texts/1.0"]["post"]
    taken, given = described(client, "texts")
    assert (own["requestBody"]["content"], own["responses"]["200"]["content"]) == (taken, given)


def test_a_model_that_says_nothing_has_no_path_of_its_own(client):
    document = client.get("/openapi.json").json()
    assert "/predictions/echo" not in document["paths"]
    names = [one["operationId"] for item in document["paths"].values() for one in item.values()]
    assert len(names) == len(set(names))


def test_numbers_that_json_does_not_have_are_strings_but_on_torchserves_paths(client):
    """As in the files of `mar run`; a tensor of them may be sent back as it came."""
    rows = [["NaN", 1.5], ["-Infinity", "Infinity"]]
    sent = {"inputs": [tensor("data", "FP32", [2, 2], rows)]}
    answer = client.post("/v2/models/odd/infer", json=sent)
    (found,) = json.loads(answer.text, parse_constant=pytest.fail)["outputs"]
    assert found == tensor("same", "FP32", [2, 2], [one for row in rows for one in row])
    answer = client.post(
        "/v1/models/odd:predict", json={"instances": [{"data": one} for one in rows]}
    )
    assert json.loads(answer.text, parse_constant=pytest.fail) == {"predictions": rows}
    assert "NaN" in client.post("/predictions/odd", json=rows[0]).text
    assert '"NaN"' not in client.post("/predictions/odd", json=rows[0]).text


def test_no_other_string_is_a_number(client):
    sent = {"inputs": [tensor("data", "FP32", [1, 2], ["nan", 1])]}
    assert client.post("/v2/models/odd/infer", json=sent).status_code == 400
