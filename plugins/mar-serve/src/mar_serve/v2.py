"""KServe's second protocol, the Open Inference Protocol, with its binary tensors.

The first axis of the inputs counts requests, as in every server that batches: each of its elements
is a row of its own, and shares batches with the rows of other requests. A tensor of one axis that
holds numbers is one row; one of strings has a row for each string.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from mar_serve.answers import JSON, Answer
from mar_serve.bodies import header_of
from mar_serve.calls import parsed
from mar_serve.errors import bad_request
from mar_serve.kserve import is_passed_on, plain_value
from mar_serve.outputs import outputs_of
from mar_serve.rows import ask_rows
from mar_serve.signatures import input_tensors, output_tensors
from mar_serve.tensors import KINDS, Tensor, check_shape, flat, from_bytes, nested, to_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from mar_serve.calls import Call, Handler
    from mar_serve.inference import Inference
    from mar_serve.version import ModelVersion

__all__ = ["table"]

HEADER_LENGTH = b"inference-header-content-length"
NOT_READY = 400
MATRIX = 2


def table(
    inference: Inference, *, everything: bool = True
) -> Iterator[tuple[str, Handler, list[str]]]:
    """The paths, what answers them, and their methods.

    Args:
        inference: What answers single rows.
        everything: Whether there is more than ``infer`` and ``explain``.
    """

    async def infer(call: Call) -> Answer | None:
        return await _infer(call, inference, explain=False)

    async def explain(call: Call) -> Answer | None:
        return await _infer(call, inference, explain=True)

    paths = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
    for path in paths:
        yield f"{path}/infer", infer, ["POST"]
        yield f"{path}/explain", explain, ["POST"]
    if not everything:
        return
    yield "/v2", about_server, ["GET"]
    yield "/v2/health/live", live, ["GET"]
    yield "/v2/health/ready", all_ready, ["GET"]
    for path in paths:
        yield path, about_model, ["GET"]
        yield f"{path}/ready", model_ready, ["GET"]


async def about_server(call: Call) -> Answer:
    """Which server this is."""
    extensions = ["binary_tensor_data"]
    return Answer({"name": "mar", "version": call.server.version, "extensions": extensions})


async def live(_: Call) -> Answer:
    """Whether the server runs."""
    return Answer({"live": True})


async def all_ready(call: Call) -> Answer:
    """Whether every model answers."""
    ready = call.server.ready
    return Answer({"ready": ready}, status=200 if ready else 503)


async def model_ready(call: Call) -> Answer:
    """Whether a model answers."""
    found = _found(call)
    ready = found.can_answer
    return Answer({"name": found.name, "ready": ready}, status=200 if ready else NOT_READY)


async def about_model(call: Call) -> Answer:
    """A model's versions and its tensors; without a signature those are the client's business."""
    found = _found(call)
    signature = found.prepared.signature
    versions = list(call.server.repository.model(found.name).versions)
    return Answer(
        {
            "name": found.name,
            "versions": versions,
            "platform": "pytorch_mar",
            "inputs": [tensor.to_dict() for tensor in input_tensors(signature)],
            "outputs": [tensor.to_dict() for tensor in output_tensors(signature)],
        }
    )


def _found(call: Call) -> ModelVersion:
    return call.server.repository.find(call.params["model"], call.params.get("version"))


async def _infer(call: Call, inference: Inference, *, explain: bool) -> Answer | None:
    if await is_passed_on(call, inference, explain=explain):
        return None
    document, raw = _split(call, await call.body())
    inputs = _inputs(document, raw)
    found = _found(call)
    signature = found.prepared.signature
    single = {one.name for one in input_tensors(signature) if one.shape == [-1]}
    rows = _rows(inputs, single)
    asked = call.params.get("version")
    replies = await ask_rows(call, found, rows, explain=explain, asked=asked)
    values = [plain_value(reply) for reply in replies]
    head = {"model_name": found.name, "model_version": found.version}
    head["id"] = str(document.get("id") or call.request_id)
    outputs = outputs_of(values, document.get("outputs"), inputs[0].name, output_tensors(signature))
    return _answer(head, outputs, document)


def _split(call: Call, body: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON at the front of a body, and the raw tensors behind it."""
    length = header_of(call.scope, HEADER_LENGTH)
    end = len(body)
    if length is not None:
        if not length.isdigit() or int(length) > len(body):
            raise bad_request("Inference-Header-Content-Length is no length of this body.")
        end = int(length)
    document = parsed(body[:end])
    if not isinstance(document, dict):
        raise bad_request("The body must be a JSON object.")
    return document, body[end:]


def _inputs(document: dict[str, Any], raw: bytes) -> list[Tensor]:
    given = document.get("inputs")
    if not isinstance(given, list) or not given or not all(isinstance(i, dict) for i in given):
        raise bad_request('The body must have a list "inputs" of tensors.')
    tensors, at = [], 0
    for one in given:
        name, datatype = str(one.get("name", "")), str(one.get("datatype", ""))
        if datatype not in KINDS:
            raise bad_request(f"The datatype {datatype!r} of the input {name!r} is not known.")
        size = _parameters(one).get("binary_data_size")
        if size is None:
            values = _listed(one.get("data"), datatype)
        elif type(size) is not int or size < 0 or at + size > len(raw):
            raise bad_request(f"The input {name!r} has fewer bytes than binary_data_size says.")
        else:
            values, at = from_bytes(raw[at : at + size], datatype, name), at + size
        tensors.append(Tensor(name, datatype, _shape(one, name, len(values)), values))
    return tensors


def _shape(one: dict[str, Any], name: str, count: int) -> list[int]:
    shape = check_shape(one.get("shape"), name)
    expected = math.prod(shape)
    if expected != count:
        raise bad_request(f"The input {name!r} has {count} values; its shape asks for {expected}.")
    return shape


def _parameters(one: dict[str, Any]) -> dict[str, Any]:
    found = one.get("parameters")
    return found if isinstance(found, dict) else {}


def _listed(data: Any, datatype: str) -> list[Any]:
    if not isinstance(data, list):
        raise bad_request('A tensor must have "data", or bytes behind the JSON.')
    values = flat(data)
    if datatype == "BYTES":
        return [value if isinstance(value, str) else json.dumps(value) for value in values]
    if datatype.startswith(("FP", "BF")):  # as answers write them
        values = [_NOT_FINITE.get(v, v) if isinstance(v, str) else v for v in values]
    if not all(isinstance(value, (int, float)) for value in values):
        raise bad_request(f"The data of a tensor of {datatype} must be numbers.")
    return values


_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _rows(inputs: list[Tensor], single: Collection[str]) -> list[dict[str, Any]]:
    """The requests; inputs that are single values have one in each element of their only axis."""
    for tensor in inputs:
        tensor.single = tensor.datatype == "BYTES" or tensor.name in single
    counts = {_count(tensor) for tensor in inputs}
    if len(counts) != 1:
        raise bad_request("The first axis of the inputs counts requests, and must be the same.")
    count = counts.pop()
    if len(inputs) == 1:
        return [{"data": value} for value in _elements(inputs[0])]
    fields = [(tensor.name, _elements(tensor)) for tensor in inputs]
    return [{name: values[number] for name, values in fields} for number in range(count)]


def _count(tensor: Tensor) -> int:
    if tensor.single:
        return tensor.shape[0] if tensor.shape else 1
    return tensor.shape[0] if len(tensor.shape) >= MATRIX else 1


def _elements(tensor: Tensor) -> list[Any]:
    if tensor.single and len(tensor.shape) <= 1:
        return list(tensor.values)
    found = nested(tensor.values, tensor.shape)
    return list(found) if len(tensor.shape) >= MATRIX else [found]


def _answer(head: dict[str, Any], outputs: list[Tensor], document: dict[str, Any]) -> Answer:
    """The answer: JSON, and behind it the tensors that the client wants as bytes."""
    wanted = document.get("outputs") if isinstance(document.get("outputs"), list) else []
    binary_all = bool(_parameters(document).get("binary_data_output"))
    binary = {
        str(one.get("name")): bool(_parameters(one).get("binary_data", binary_all))
        for one in wanted or []
        if isinstance(one, dict)
    }
    shown, raw = [], []
    for tensor in outputs:
        one: dict[str, Any] = {
            "name": tensor.name,
            "shape": tensor.shape,
            "datatype": tensor.datatype,
        }
        if binary.get(tensor.name, binary_all):
            raw.append(to_bytes(tensor.values, tensor.datatype))
            one["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            one["data"] = tensor.values
        shown.append(one)
    answer = Answer({**head, "outputs": shown})
    if raw:
        answer.headers.append((HEADER_LENGTH, str(len(answer.body)).encode()))
        answer.body += b"".join(raw)
        answer.content_type = b"application/octet-stream"
    else:
        answer.content_type = JSON
    return answer
