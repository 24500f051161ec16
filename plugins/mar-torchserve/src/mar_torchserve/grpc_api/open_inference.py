"""KServe's Open Inference Protocol over gRPC."""

from __future__ import annotations

import base64
import json
import struct
import uuid
from typing import TYPE_CHECKING, Any

import grpc
from mar_serve import ServeError

from mar_core import Request
from mar_torchserve.grpc_api.protos import open_inference_pb2 as messages
from mar_torchserve.grpc_api.statuses import abort

if TYPE_CHECKING:
    from mar_serve import Server

__all__ = ["SERVICES", "OpenInferenceService"]

# TorchServe's name for it, and the protocol's own, which KServe's and Triton's clients call.
SERVICES = (
    "org.pytorch.serve.grpc.openinference.GRPCInferenceService",
    "inference.GRPCInferenceService",
)
_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
# How raw contents are read: struct's letters, little-endian.
_LETTERS = {
    "BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B",
    "UINT16": "H", "UINT32": "I", "UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip
NAME, VERSION = "Torchserve", "0.12.0"


class OpenInferenceService:
    """``GRPCInferenceService``: tensors in and out, through the envelope ``kservev2``.

    Args:
        server: Whose models answer.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    async def live(self, _request: Any, _context: Any) -> messages.ServerLiveResponse:
        """Whether the server runs."""
        return messages.ServerLiveResponse(live=True)

    async def ready(self, _request: Any, _context: Any) -> messages.ServerReadyResponse:
        """Whether every model answers."""
        return messages.ServerReadyResponse(ready=self._server.ready)

    async def metadata(self, _request: Any, _context: Any) -> messages.ServerMetadataResponse:
        """What the server is."""
        return messages.ServerMetadataResponse(name=NAME, version=VERSION)

    async def model_ready(self, request: Any, context: Any) -> messages.ModelReadyResponse:
        """Whether a model answers."""
        found = await self._find(request.name, request.version, context, "name")
        return messages.ModelReadyResponse(ready=found.ready)

    async def model_metadata(self, request: Any, context: Any) -> messages.ModelMetadataResponse:
        """What is known of a model."""
        await self._find(request.name, request.version, context, "model_name")
        versions = self._server.repository.model(request.name).versions
        return messages.ModelMetadataResponse(name=request.name, versions=list(versions))

    async def infer(self, request: Any, context: Any) -> messages.ModelInferResponse:
        """Ask a model."""
        try:
            reply = await self._server.predict(
                _named(request.model_name, "model_name"),
                request.model_version or None,
                Request(
                    id=request.id or str(uuid.uuid4()),
                    headers={"url_path": "", "explain": "False"},
                    body=json.dumps(_document(request)).encode(),
                    content_type="application/json",
                ),
                seconds=context.time_remaining(),
            )
            return _response(reply.body, raw=bool(request.raw_input_contents))
        except ServeError as error:
            before = {"ModelNotFoundException", "ModelVersionNotFoundException"}
            code = grpc.StatusCode.INTERNAL if error.kind in before else None
            await abort(context, error, code)

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """What a gRPC server is given."""
        verbs: dict[str, tuple[Any, Any]] = {
            "ServerLive": (self.live, messages.ServerLiveRequest),
            "ServerReady": (self.ready, messages.ServerReadyRequest),
            "ServerMetadata": (self.metadata, messages.ServerMetadataRequest),
            "ModelReady": (self.model_ready, messages.ModelReadyRequest),
            "ModelMetadata": (self.model_metadata, messages.ModelMetadataRequest),
            "ModelInfer": (self.infer, messages.ModelInferRequest),
        }
        methods = {
            name: grpc.unary_unary_rpc_method_handler(
                verb,
                request_deserializer=message.FromString,
                response_serializer=lambda answer: answer.SerializeToString(),
            )
            for name, (verb, message) in verbs.items()
        }
        return [grpc.method_handlers_generic_handler(name, methods) for name in SERVICES]

    async def _find(self, name: str, version: str, context: Any, parameter: str) -> Any:
        try:
            return self._server.repository.find(_named(name, parameter), version or None)
        except ServeError as error:
            code = grpc.StatusCode.INTERNAL if error.kind == "BadRequestException" else None
            await abort(context, error, code)


def _named(name: str, parameter: str) -> str:
    if not name:
        raise ServeError(400, "BadRequestException", f"Parameter {parameter} is required.")
    return name


def _document(request: Any) -> dict[str, Any]:
    """The request as the JSON form of the protocol."""
    inputs = []
    for at, tensor in enumerate(request.inputs):
        if request.raw_input_contents:
            if at >= len(request.raw_input_contents):
                raise ServeError(
                    400, "BadRequestException", f"Input {tensor.name} has no raw contents."
                )
            data = _from_raw(tensor, request.raw_input_contents[at])
        else:
            data = _from_contents(tensor)
        inputs.append(
            {
                "name": tensor.name,
                "shape": list(tensor.shape),
                "datatype": tensor.datatype,
                "data": data,
            }
        )
    return {"id": request.id, "model_name": request.model_name, "inputs": inputs}


def _from_contents(tensor: Any) -> list[Any]:
    field = _FIELDS.get(tensor.datatype)
    if field is None:
        raise _unknown(tensor)
    values = list(getattr(tensor.contents, field))
    if tensor.datatype == "BYTES":  # JSON has no bytes: base64, as TorchServe hands them over
        return [base64.b64encode(value).decode() for value in values]
    return values


def _from_raw(tensor: Any, raw: bytes) -> list[Any]:
    if tensor.datatype == "BYTES":
        return [base64.b64encode(value).decode() for value in _strings(tensor, raw)]
    letter = _LETTERS.get(tensor.datatype)
    if letter is None:
        raise _unknown(tensor)
    size = struct.calcsize(f"<{letter}")
    if len(raw) % size:
        raise ServeError(
            400, "BadRequestException",
            f"Input {tensor.name} has {len(raw)} bytes, which are no {tensor.datatype} elements.",
        )  # fmt: skip
    return list(struct.unpack(f"<{len(raw) // size}{letter}", raw))


def _strings(tensor: Any, raw: bytes) -> list[bytes]:
    """Strings of bytes, each behind its length in four bytes."""
    found, at = [], 0
    while at < len(raw):
        length = int.from_bytes(raw[at : at + 4], "little")
        end = at + 4 + length
        if len(raw) < at + 4 or end > len(raw):
            raise ServeError(
                400, "BadRequestException", f"Input {tensor.name} ends within a string."
            )
        found.append(raw[at + 4 : end])
        at = end
    return found


def _unknown(tensor: Any) -> ServeError:
    text = f"Input {tensor.name} has the datatype {tensor.datatype!r}, which is not known."
    return ServeError(400, "BadRequestException", text)


def _response(body: bytes, *, raw: bool) -> messages.ModelInferResponse:
    """The handler's JSON as a message; raw where the request was."""
    try:
        document = json.loads(body)
        outputs = document["outputs"]
        response = messages.ModelInferResponse(
            id=str(document.get("id") or ""),
            model_name=str(document.get("model_name") or ""),
            model_version=str(document.get("model_version") or ""),
        )
        for output in outputs:
            _add(response, output, raw=raw)
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise ServeError(503, "InternalServerException", "Invalid model predict output") from error
    return response


def _add(response: messages.ModelInferResponse, output: dict[str, Any], *, raw: bool) -> None:
    datatype, data = output["datatype"], output["data"]
    tensor = response.outputs.add(
        name=output["name"], datatype=datatype, shape=[int(size) for size in output["shape"]]
    )
    if datatype == "BYTES":
        data = [str(value).encode() for value in data]
    if not raw:
        getattr(tensor.contents, _FIELDS[datatype]).extend(data)
    elif datatype == "BYTES":
        packed = b"".join(len(value).to_bytes(4, "little") + value for value in data)
        response.raw_output_contents.append(packed)
    else:
        letters = f"<{len(data)}{_LETTERS[datatype]}"
        response.raw_output_contents.append(struct.pack(letters, *data))
