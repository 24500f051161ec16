"""gRPC: TorchServe's services, called as its clients call them."""

from __future__ import annotations

import json
import re
import struct

import grpc
import pytest
from dropin import DropIn, started
from google.protobuf import empty_pb2
from mar_torchserve.grpc_api.protos import inference_pb2, management_pb2, open_inference_pb2

from mar_core.testing import make_archive

INFERENCE = "org.pytorch.serve.grpc.inference.InferenceAPIsService"
MANAGEMENT = "org.pytorch.serve.grpc.management.ManagementAPIsService"
OPEN = (
    "org.pytorch.serve.grpc.openinference.GRPCInferenceService",
    "inference.GRPCInferenceService",
)
HANDLER = """
import json
import time
from ts.handler_utils.utils import send_intermediate_predict_response
from ts.utils.util import PredictionException


def handle(data, context):
    if data is None:
        return None
    kind = bytes(data[0].get("kind") or b"")
    if kind == b"sleep":
        time.sleep(2)
    if kind == b"raise":
        raise ValueError("the path /secret is no good")
    if kind == b"code":
        raise PredictionException("slow down", 429)
    if kind == b"stream":
        for part in ("a", "b"):
            send_intermediate_predict_response([part], context.request_ids, "ok", 200, context)
        return ["c"]
    if "body" in data[0]:  # the Open Inference Protocol's JSON
        asked = data[0]["body"]
        values = asked["inputs"][0]["data"]
        output = {"name": "out", "datatype": "FP64", "shape": [len(values)],
                  "data": [2 * value for value in values]}
        return [{"id": asked["id"], "model_name": "echo", "model_version": "1.0",
                 "outputs": [output]}]
    sequence = context.get_request_header(0, "ts_request_sequence_id")
    return [{"row": {key: type(value).__name__ for key, value in row.items()},
             "sequence": sequence} for row in data]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = DropIn(tmp_path_factory.mktemp("grpc"))
    handler = made.folder / "handler.py"
    handler.write_text(HANDLER)
    make_archive(made.store, handler=handler, model_name="echo", version="1.0")
    config = made.configure("ts_open_inference_protocol=true", "enable_model_api=true",
                            "metrics_mode=prometheus")  # fmt: skip
    words = ["--model-store", "store", "--ts-config", config, "--models", "echo=echo.mar", "--ncs"]
    with started(made, *words, "--disable-token-auth"):
        yield made


@pytest.fixture
def call(server):
    """Call a method of a service."""
    channels = {
        kind: grpc.insecure_channel(f"127.0.0.1:{server.ports[at]}")
        for kind, at in (("inference", 3), ("management", 4))
    }

    def made(service, method, request, answer, *, stream="", metadata=None, seconds=60):
        channel = channels["management" if service == MANAGEMENT else "inference"]
        kind = {"": "unary_unary", "out": "unary_stream", "both": "stream_stream"}[stream]
        function = getattr(channel, kind)(
            f"/{service}/{method}",
            request_serializer=lambda one: one.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        result = function(request, timeout=seconds, metadata=metadata)
        return list(result) if stream else result

    yield made
    for channel in channels.values():
        channel.close()


def ask(call, method="Predictions", *, stream="", **fields):
    request = inference_pb2.PredictionsRequest(model_name="echo", **fields)
    return call(INFERENCE, method, request, inference_pb2.PredictionResponse, stream=stream)


def refused(function, *words, **more):
    with pytest.raises(grpc.RpcError) as caught:
        function(*words, **more)
    return caught.value.code(), caught.value.details()


def manage(call, method, message, **fields):
    request = getattr(management_pb2, message)(**fields)
    return call(MANAGEMENT, method, request, management_pb2.ManagementResponse).msg


def test_ping(call):
    answer = call(INFERENCE, "Ping", empty_pb2.Empty(), inference_pb2.TorchServeHealthResponse)
    assert answer.health == '{\n  "status": "Healthy"\n}'


def test_a_row_holds_byte_arrays_under_the_names_of_the_fields(call):
    answer = ask(call, input={"data": b"x", "more": b"y"})
    assert json.loads(answer.prediction)["row"] == {"data": "bytearray", "more": "bytearray"}


def test_pieces_come_one_by_one(call):
    answers = ask(call, "StreamPredictions", stream="out", input={"kind": b"stream"})
    assert [one.prediction for one in answers] == [b"a", b"b", b"c"]


def test_a_plain_handler_streams_its_one_answer(call):
    (answer,) = ask(call, "StreamPredictions", stream="out", input={"data": b"x"})
    assert json.loads(answer.prediction)["row"] == {"data": "bytearray"}


def test_many_requests_over_one_call_and_errors_among_them(call):
    requests = [
        inference_pb2.PredictionsRequest(
            model_name="echo", input={"kind": kind}, sequence_id="seq-1"
        )
        for kind in (b"", b"raise", b"stream")
    ]
    answers = call(
        INFERENCE, "StreamPredictions2", iter(requests), inference_pb2.PredictionResponse,
        stream="both",
    )  # fmt: skip
    assert json.loads(answers[0].prediction)["sequence"] == "seq-1"
    assert answers[1].status.code == grpc.StatusCode.UNAVAILABLE.value[0]
    assert answers[1].status.message == "Prediction failed"
    assert [one.prediction for one in answers[2:]] == [b"a", b"b", b"c"]
    assert {one.sequence_id for one in answers if not one.HasField("status")} == {"seq-1"}


@pytest.mark.parametrize(
    ("fields", "code", "details"),
    [
        (
            {"input": {"kind": b"raise"}}, "UNAVAILABLE",
            "Prediction failed\norg.pytorch.serve.http.InternalServerException",
        ),
        (
            {"input": {"kind": b"code"}}, "RESOURCE_EXHAUSTED",
            "slow down\norg.pytorch.serve.http.InternalServerException",
        ),
        (
            {"model_version": "9"}, "INTERNAL",
            ("Model version: 9 does not exist for model: echo\n"
            "org.pytorch.serve.archive.model.ModelVersionNotFoundException"),
        ),
    ],
)  # fmt: skip
def test_errors_are_those_that_clients_match_on(call, fields, code, details):
    assert refused(ask, call, **fields) == (grpc.StatusCode[code], details)


def test_a_model_that_is_not_there(call):
    request = inference_pb2.PredictionsRequest(model_name="nobody")
    code, details = refused(
        call, INFERENCE, "Predictions", request, inference_pb2.PredictionResponse
    )
    assert code is grpc.StatusCode.INTERNAL
    assert details == (
        "Model not found: nobody\norg.pytorch.serve.archive.model.ModelNotFoundException"
    )


def test_no_model_is_named(call):
    request = inference_pb2.PredictionsRequest()
    found = refused(call, INFERENCE, "Predictions", request, inference_pb2.PredictionResponse)
    assert found == (
        grpc.StatusCode.INTERNAL, "Parameter model_name is required.\nBadRequestException.()",
    )  # fmt: skip


def test_management(call):
    said = manage(
        call, "RegisterModel", "RegisterModelRequest",
        url="echo.mar", model_name="second", initial_workers=1, synchronous=True,
    )  # fmt: skip
    assert said == 'Model "second" Version: 1.0 registered with 1 initial workers'
    listed = json.loads(manage(call, "ListModels", "ListModelsRequest"))
    assert [one["modelName"] for one in listed["models"]] == ["echo", "second"]
    (described,) = json.loads(
        manage(call, "DescribeModel", "DescribeModelRequest", model_name="second")
    )
    assert described["minWorkers"] == 1
    said = manage(
        call, "ScaleWorker", "ScaleWorkerRequest",
        model_name="second", min_worker=2, max_worker=2, synchronous=True,
    )  # fmt: skip
    assert said == "Workers scaled to 2 for model: second"
    said = manage(call, "SetDefault", "SetDefaultRequest", model_name="second", model_version="1.0")
    assert said == 'Default version successfully updated for model "second" to "1.0"'
    said = manage(call, "UnregisterModel", "UnregisterModelRequest", model_name="second")
    assert said == 'Model "second" unregistered'


@pytest.mark.parametrize(
    ("method", "message", "fields", "code", "details"),
    [
        (
            "RegisterModel", "RegisterModelRequest", {}, "INVALID_ARGUMENT",
            "Parameter url is required.\norg.pytorch.serve.http.BadRequestException",
        ),
        (
            "RegisterModel", "RegisterModelRequest", {"url": "no.mar"}, "NOT_FOUND",
            "Model not found at: no.mar\norg.pytorch.serve.archive.model.ModelNotFoundException",
        ),
        (
            "DescribeModel", "DescribeModelRequest", {"model_name": "no"}, "NOT_FOUND",
            "Model not found: no\norg.pytorch.serve.archive.model.ModelNotFoundException",
        ),
        (
            "ScaleWorker", "ScaleWorkerRequest",
            {"model_name": "echo", "min_worker": 2, "max_worker": 1}, "INVALID_ARGUMENT",
            ("max_worker cannot be less than min_worker.\n"
            "org.pytorch.serve.http.BadRequestException"),
        ),
        (
            "SetDefault", "SetDefaultRequest",
            {"model_name": "echo", "model_version": "9"}, "NOT_FOUND",
            ("Model version 9 does not exist for model echo\n"
            "org.pytorch.serve.archive.model.ModelVersionNotFoundException"),
        ),
    ],
)  # fmt: skip
def test_errors_of_management(call, method, message, fields, code, details):
    found = refused(manage, call, method, message, **fields)
    assert found == (grpc.StatusCode[code], details)


@pytest.mark.parametrize("service", OPEN)
def test_the_open_inference_protocol_has_two_names(call, service):
    live = call(
        service, "ServerLive", open_inference_pb2.ServerLiveRequest(),
        open_inference_pb2.ServerLiveResponse,
    )  # fmt: skip
    ready = call(
        service, "ModelReady", open_inference_pb2.ModelReadyRequest(name="echo"),
        open_inference_pb2.ModelReadyResponse,
    )  # fmt: skip
    assert live.live
    assert ready.ready


@pytest.mark.parametrize("raw", [False, True])
def test_tensors_in_and_out(call, raw):
    request = open_inference_pb2.ModelInferRequest(model_name="echo", id="mine")
    tensor = request.inputs.add(name="in", datatype="FP32", shape=[3])
    if raw:
        request.raw_input_contents.append(struct.pack("<3f", 1, 2, 3))
    else:
        tensor.contents.fp32_contents.extend([1, 2, 3])
    answer = call(OPEN[1], "ModelInfer", request, open_inference_pb2.ModelInferResponse)
    assert (answer.id, answer.outputs[0].name, answer.outputs[0].datatype) == (
        "mine", "out", "FP64",
    )  # fmt: skip
    found = (
        list(struct.unpack("<3d", answer.raw_output_contents[0]))
        if raw
        else list(answer.outputs[0].contents.fp64_contents)
    )
    assert found == [2.0, 4.0, 6.0]


@pytest.mark.parametrize(
    ("datatype", "raw", "said"),
    [
        ("FP32", b"123", "Input in has 3 bytes, which are no FP32 elements."),
        ("COMPLEX", b"1234", "Input in has the datatype 'COMPLEX', which is not known."),
        ("BYTES", b"\x09\0\0\0abc", "Input in ends within a string."),
    ],
)
def test_tensors_that_make_no_sense(call, datatype, raw, said):
    request = open_inference_pb2.ModelInferRequest(model_name="echo", raw_input_contents=[raw])
    request.inputs.add(name="in", datatype=datatype, shape=[1])
    code, details = refused(
        call, OPEN[1], "ModelInfer", request, open_inference_pb2.ModelInferResponse
    )
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith(said)


def test_a_deadline_is_kept(call):
    request = inference_pb2.PredictionsRequest(model_name="echo", input={"kind": b"sleep"})
    with pytest.raises(grpc.RpcError) as caught:
        call(INFERENCE, "Predictions", request, inference_pb2.PredictionResponse, seconds=0.5)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_an_answer_after_the_models_own_deadline_is_none(server, call):
    handler, config = server.folder / "handler.py", {"clientTimeoutInMills": 1000}
    make_archive(server.store, handler=handler, model_name="late", version="1.0", config=config)
    manage(call, "RegisterModel", "RegisterModelRequest", url="late.mar", initial_workers=1,
           synchronous=True)  # fmt: skip
    request = inference_pb2.PredictionsRequest(model_name="late", input={"kind": b"sleep"})
    code, details = refused(
        call, INFERENCE, "Predictions", request, inference_pb2.PredictionResponse
    )
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert details.startswith("The request was not answered before its deadline.\n")
    manage(call, "UnregisterModel", "UnregisterModelRequest", model_name="late")


def test_a_request_counts_for_the_version_that_it_names(server, call):
    def counted():
        with server.client("metrics") as client:
            text = client.get("/metrics").text
        pattern = r'^ts_inference_requests_total\{.*"echo".*model_version="1.0".* (\S+)$'
        return sum(map(float, re.findall(pattern, text, re.MULTILINE)))

    before = counted()
    ask(call, model_version="1.0", input={"data": b"x"})
    ask(call, "StreamPredictions", stream="out", model_version="1.0", input={"kind": b"stream"})
    ask(call, input={"data": b"x"})
    assert counted() == before + 2


def test_tokens_travel_in_metadata(tmp_path):
    made = DropIn(tmp_path)
    config = made.configure()
    with started(made, "--model-store", "store", "--ts-config", config, "--ncs"):
        keys = json.loads((tmp_path / "key_file.json").read_text())
        with grpc.insecure_channel(f"127.0.0.1:{made.ports[4]}") as channel:
            method = channel.unary_unary(
                f"/{MANAGEMENT}/ListModels",
                request_serializer=lambda one: one.SerializeToString(),
                response_deserializer=management_pb2.ManagementResponse.FromString,
            )
            request = management_pb2.ListModelsRequest()
            code, details = refused(method, request, timeout=60)
            assert code is grpc.StatusCode.PERMISSION_DENIED
            assert details.startswith("Token Authorization failed.")
            right = [("authorization", f"Bearer {keys['management']['key']}")]
            assert json.loads(method(request, metadata=right, timeout=60).msg) == {"models": []}
            wrong = [("authorization", f"Bearer {keys['inference']['key']}")]
            assert refused(method, request, metadata=wrong, timeout=60)[0] is code


def test_without_the_model_api_models_stay_as_they_are(tmp_path):
    made = DropIn(tmp_path)
    config = made.configure()
    words = ["--model-store", "store", "--ts-config", config, "--ncs", "--disable-token-auth"]
    with (
        started(made, *words),
        grpc.insecure_channel(f"127.0.0.1:{made.ports[4]}") as channel,
    ):
        method = channel.unary_unary(
            f"/{MANAGEMENT}/RegisterModel",
            request_serializer=lambda one: one.SerializeToString(),
            response_deserializer=management_pb2.ManagementResponse.FromString,
        )
        code, details = refused(method, management_pb2.RegisterModelRequest(url="a"), timeout=60)
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert details.startswith("Model API disabled")
