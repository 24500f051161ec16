"""Predictions over gRPC."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import any_pb2, empty_pb2
from google.rpc import error_details_pb2, status_pb2
from mar_serve import ServeError

from mar_core import Request
from mar_torchserve.grpc_api.protos import inference_pb2 as messages
from mar_torchserve.grpc_api.statuses import HTTP_PACKAGE, abort, code_of, java_name

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from mar_serve import Server

    from mar_core import Reply

__all__ = ["SERVICE", "InferenceService"]

SERVICE = "org.pytorch.serve.grpc.inference.InferenceAPIsService"
_END = object()


class InferenceService:
    """``InferenceAPIsService``.

    Args:
        server: Whose models answer.
        sequence_headers: The headers that name a sequence, begin it and end it.
    """

    def __init__(self, server: Server, sequence_headers: tuple[str, str, str]) -> None:
        self._server = server
        self._id, self._start, self._end = sequence_headers

    async def ping(self, _request: Any, _context: Any) -> messages.TorchServeHealthResponse:
        """Whether every model answers."""
        status = "Healthy" if self._server.ready else "Unhealthy"
        return messages.TorchServeHealthResponse(health=json.dumps({"status": status}, indent=2))

    async def predictions(self, request: Any, context: Any) -> messages.PredictionResponse:
        """One request, one answer."""
        try:
            reply = await self._ask(request, context)
        except ServeError as error:
            await abort(context, error, _code(error))
        return messages.PredictionResponse(prediction=reply.body)

    async def stream_predictions(
        self, request: Any, context: Any
    ) -> AsyncIterator[messages.PredictionResponse]:
        """One request, its answer in the pieces that the handler sends."""
        try:
            async with aclosing(self._pieces(request, context)) as pieces:
                async for piece in pieces:
                    yield messages.PredictionResponse(prediction=piece)
        except ServeError as error:
            await abort(context, error, _code(error))

    async def stream_predictions2(
        self, requests: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[messages.PredictionResponse]:
        """Many requests over one call, one after the other; those of a sequence belong together."""
        sequence = ""
        async for request in requests:
            begins = _flag(request, self._start)
            if not request.sequence_id and not begins and not sequence:
                error = ServeError(400, "BadRequestException", "Parameter sequenceId is required.")
                yield _refused(error, "BadRequestException.()", grpc.StatusCode.INTERNAL)
                continue
            sequence = request.sequence_id or (sequence if not begins else f"ts-seq-{uuid.uuid4()}")
            headers = {self._id: sequence}
            headers |= {name: "true" for name in (self._start, self._end) if _flag(request, name)}
            try:
                async with aclosing(self._pieces(request, context, headers)) as pieces:
                    async for piece in pieces:
                        yield messages.PredictionResponse(prediction=piece, sequence_id=sequence)
            except ServeError as error:
                yield _refused(error, java_name(error), _code(error) or code_of(error.status))

    def handlers(self) -> grpc.GenericRpcHandler:
        """What a gRPC server is given."""
        asked = messages.PredictionsRequest.FromString
        said = messages.PredictionResponse.SerializeToString
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Ping": grpc.unary_unary_rpc_method_handler(
                    self.ping,
                    request_deserializer=empty_pb2.Empty.FromString,
                    response_serializer=messages.TorchServeHealthResponse.SerializeToString,
                ),
                "Predictions": grpc.unary_unary_rpc_method_handler(
                    self.predictions, request_deserializer=asked, response_serializer=said
                ),
                "StreamPredictions": grpc.unary_stream_rpc_method_handler(
                    self.stream_predictions, request_deserializer=asked, response_serializer=said
                ),
                "StreamPredictions2": grpc.stream_stream_rpc_method_handler(
                    self.stream_predictions2, request_deserializer=asked, response_serializer=said
                ),
            },
        )

    async def _pieces(
        self, request: Any, context: Any, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[bytes]:
        """What the handler sends, piece by piece; what it returns is the last one."""
        pieces: asyncio.Queue[Any] = asyncio.Queue()
        asked = self._ask(request, context, headers=headers, on_part=pieces.put_nowait)
        task = asyncio.create_task(asked)
        task.add_done_callback(partial(_end, pieces))
        try:
            while (piece := await pieces.get()) is not _END:
                yield piece
            yield task.result().body
        finally:
            task.cancel()

    async def _ask(
        self,
        request: Any,
        context: Any,
        *,
        headers: Mapping[str, str] | None = None,
        on_part: Any = None,
    ) -> Reply:
        if not request.model_name:
            raise ServeError(400, "BadRequestException", "Parameter model_name is required.")
        # As in TorchServe, the row holds byte arrays and there are no headers but the sequence's.
        row = {name: bytearray(value) for name, value in request.input.items()}
        asked = Request(
            id=str(uuid.uuid4()),
            headers={**(headers or {}), "url_path": "", "explain": "False"},
            row=row,
        )
        return await self._server.predict(
            request.model_name,
            request.model_version or None,
            asked,
            on_part=on_part,
            seconds=context.time_remaining(),
        )


def _end(pieces: asyncio.Queue[Any], _: object) -> None:
    pieces.put_nowait(_END)


def _flag(request: Any, name: str) -> bool:
    value: bytes = request.input.get(name, b"")
    return value.strip().lower() == b"true"


def _code(error: ServeError) -> grpc.StatusCode | None:
    """TorchServe says INTERNAL of what is wrong before a worker is asked."""
    internal = {"ModelNotFoundException", "ModelVersionNotFoundException", "BadRequestException",
                "ServiceUnavailableException"}  # fmt: skip
    return grpc.StatusCode.INTERNAL if error.kind in internal else None


def _refused(error: ServeError, reason: str, code: grpc.StatusCode) -> messages.PredictionResponse:
    details = any_pb2.Any()
    details.Pack(error_details_pb2.ErrorInfo(reason=reason or HTTP_PACKAGE))
    status = status_pb2.Status(code=code.value[0], message=error.message, details=[details])
    return messages.PredictionResponse(status=status)
