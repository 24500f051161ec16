"""KServe v1 and v2, SageMaker and Vertex, with plain HTTP; real clients have tests of their own."""

from __future__ import annotations

import base64
import json
import struct

import pytest
import serving
import serving_handlers as handlers

SUMS = """
def handle(data, context):
    if data is None:
        return None
    answers = []
    for row in data:
        if "a" in row and "b" in row:
            answers.append({"sum": [x + y for x, y in zip(row["a"], row["b"])],
                            "difference": [x - y for x, y in zip(row["a"], row["b"])]})
            continue
        value = row.get("data")
        if isinstance(value, (bytes, bytearray)):
            answers.append(bytes(value).decode().upper())
        elif isinstance(value, str):
            answers.append(value.upper())
        elif isinstance(value, list):
            answers.append(float(sum(value)))
        else:
            answers.append(value)
    return answers
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kserve")
    sums = handlers.make(folder, "sums", SUMS, batchSize=4)
    echo = handlers.make(folder, "echo")
    with serving.running(sums, echo, folder=folder) as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    with server.client() as client:
        yield client


def infer(client, model="sums", *, path=None, **body):
    return client.post(path or f"/v2/models/{model}/infer", json=body)


def tensor(name, shape, datatype, data):
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def test_v1_answers_each_instance(client):
    packed = {"b64": base64.b64encode(b"abc").decode()}
    instances = [[1, 2], {"data": [3, 4]}, {"data": packed}, packed]
    answer = client.post("/v1/models/sums:predict", json={"instances": instances})
    assert answer.json() == {"predictions": [3.0, 7.0, "ABC", "ABC"]}
    assert client.get("/v1/models/sums").json() == {"name": "sums", "ready": True}
    assert set(client.get("/v1/models").json()["models"]) == {"sums", "echo"}
    answer = client.post("/v1/models/echo:explain", json={"instances": [1]})
    assert answer.json()["explanations"][0]["explain"] == "True"


def test_v1_with_more_instances_than_the_queue_takes(client):
    answer = client.post("/v1/models/sums:predict", json={"instances": [[n] for n in range(500)]})
    assert answer.json()["predictions"] == [float(n) for n in range(500)]


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"instances": 1}', b'{"instances": [{"b64": "%"}]}']
)
def test_v1_refuses_what_is_no_request(client, body):
    answer = client.post("/v1/models/sums:predict", content=body)
    assert (answer.status_code, answer.json()["type"]) == (400, "BadRequestException")


def test_v1_fails_as_its_instance_fails(client):
    answer = client.post("/v1/models/echo:predict", json={"instances": ["fine", "raise"]})
    assert (answer.status_code, answer.json()["message"]) == (503, "Prediction failed")
    assert client.post("/v1/models/no:predict", json={"instances": []}).status_code == 404


def test_v2_says_what_there_is(client):
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models/sums/ready").json() == {"name": "sums", "ready": True}
    assert client.get("/v2/models/sums").json()["versions"] == ["1.0"]
    assert client.get("/v2/models/sums/versions/1.0").json()["name"] == "sums"
    assert client.get("/v2/models/sums/versions/9/ready").status_code == 404


def test_v2_takes_a_row_for_each_element_of_the_first_axis(client):
    shown = infer(client, inputs=[tensor("x", [2, 2], "FP32", [1, 2, 3, 4])], id="mine").json()
    assert (shown["model_name"], shown["model_version"], shown["id"]) == ("sums", "1.0", "mine")
    assert shown["outputs"] == [tensor("x", [2], "FP64", [3.0, 7.0])]
    shown = infer(client, inputs=[tensor("x", [2, 2], "INT8", [[1, 2], [3, 4]])]).json()
    assert shown["outputs"][0]["data"] == [3.0, 7.0]
    shown = infer(client, inputs=[tensor("x", [3], "FP64", [1, 2, 3])]).json()
    assert shown["outputs"] == [tensor("x", [1], "FP64", [6.0])]
    path = "/v2/models/sums/versions/1.0/infer"
    shown = infer(client, path=path, inputs=[tensor("x", [2], "BYTES", ["a", "b"])]).json()
    assert shown["outputs"] == [tensor("x", [2], "BYTES", ["A", "B"])]


def test_v2_makes_fields_of_several_inputs_and_outputs_of_fields(client):
    inputs = [tensor("a", [1, 2], "INT64", [5, 6]), tensor("b", [1, 2], "INT64", [1, 2])]
    outputs = infer(client, inputs=inputs).json()["outputs"]
    assert outputs == [
        tensor("sum", [1, 2], "INT64", [6, 8]),
        tensor("difference", [1, 2], "INT64", [4, 4]),
    ]
    (one,) = infer(client, inputs=inputs, outputs=[{"name": "difference"}]).json()["outputs"]
    assert one["data"] == [4, 4]


def test_v2_binary_tensors(client):
    raw = struct.pack("<4f", 1, 2, 3, 4) + struct.pack("<I", 2) + b"hi"
    for inputs, binary, expected in (
        ([("x", [2, 2], "FP32", 16)], raw[:16], struct.pack("<2d", 3, 7)),
        ([("x", [1], "BYTES", 6)], raw[16:], struct.pack("<I", 2) + b"HI"),
    ):
        described = [
            {"name": n, "shape": s, "datatype": d, "parameters": {"binary_data_size": size}}
            for n, s, d, size in inputs
        ]
        wanted = [{"name": "y", "parameters": {"binary_data": True}}]
        head = json.dumps({"inputs": described, "outputs": wanted}).encode()
        answer = client.post(
            "/v2/models/sums/infer",
            content=head + binary,
            headers={"Inference-Header-Content-Length": str(len(head))},
        )
        end = int(answer.headers["inference-header-content-length"])
        (output,) = json.loads(answer.content[:end])["outputs"]
        assert output["name"] == "y"
        assert output["parameters"]["binary_data_size"] == len(expected)
        assert answer.content[end:] == expected


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"inputs": []},
        {"inputs": [1]},
        {"inputs": [tensor("x", [2], "FP99", [1, 2])]},
        {"inputs": [tensor("x", [3], "FP32", [1, 2])]},
        {"inputs": [tensor("x", [-1], "FP32", [1])]},
        {"inputs": [tensor("x", [20_000, 0], "FP32", [])]},
        {"inputs": [tensor("x", [1, 20_000, 0], "FP32", [])]},
        {"inputs": [tensor("x", "2", "FP32", [1, 2])]},
        {"inputs": [tensor("x", [1], "FP32", ["a"])]},
        {"inputs": [tensor("x", [1, 1], "FP32", [1]), tensor("y", [2, 1], "FP32", [1, 2])]},
        {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]},
        {
            "inputs": [
                {
                    "name": "x",
                    "shape": [1],
                    "datatype": "FP32",
                    "parameters": {"binary_data_size": 4},
                }
            ]
        },
        {"inputs": [tensor("x", [1], "FP32", [1])], "outputs": [{"name": "a"}, {"name": "b"}]},
        {"inputs": [tensor("x", [1], "FP32", [1])], "outputs": "a"},
    ],
)
def test_v2_refuses_what_is_no_request(client, body):
    answer = client.post("/v2/models/sums/infer", json=body)
    assert (answer.status_code, answer.json()["type"]) == (400, "BadRequestException")


def test_v2_refuses_a_wrong_header_length(client):
    for length in ("99999", "x", "-1"):
        headers = {"Inference-Header-Content-Length": length}
        answer = client.post("/v2/models/sums/infer", content=b"{}", headers=headers)
        assert answer.status_code == 400


def test_an_envelope_gets_the_body_as_it_came(tmp_path):
    source = "def handle(data, context):\n    return data and [str(row) for row in data]\n"
    model = handlers.make(tmp_path, "raw", source)
    words = [model, "--envelope", "kserve"]
    with serving.running(*words, folder=tmp_path) as server, server.client() as client:
        answer = client.post("/v1/models/raw:predict", json={"instances": ["a"]})
        assert answer.json() == {"predictions": ["a"]}


def test_sagemaker(tmp_path):
    echo = handlers.make(tmp_path, "echo")
    (port,) = serving.free_ports(1)
    env = {"SAGEMAKER_BIND_TO_PORT": str(port)}
    with serving.running(echo, "--host", "127.0.0.1", folder=tmp_path, env=env) as server:
        assert server.inference.endswith(f":{port}")
        with server.client(base_url=f"http://127.0.0.1:{port}") as client:
            assert client.get("/ping").status_code == 200
            headers = {"content-type": "text/plain"}
            answer = client.post("/invocations", content="hi", headers=headers)
            assert answer.json()["value"] == "hi"
            assert client.get("/models").status_code == 404  # management is not here


def test_vertex(tmp_path):
    sums = handlers.make(tmp_path, "sums", SUMS)
    (port,) = serving.free_ports(1)
    env = {
        "AIP_HTTP_PORT": str(port),
        "AIP_HEALTH_ROUTE": "/healthy/now",
        "AIP_PREDICT_ROUTE": "/v1/endpoints/7:predict",
    }
    with (
        serving.running(sums, "--host", "127.0.0.1", folder=tmp_path, env=env),
        serving.httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        assert client.get("/healthy/now").status_code == 200
        answer = client.post("/v1/endpoints/7:predict", json={"instances": [[1, 2], [3]]})
        assert answer.json() == {"predictions": [3.0, 3.0]}
