"""Models managed over gRPC."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import grpc
from mar_serve import ServeError

from mar_torchserve.grpc_api.protos import management_pb2 as messages
from mar_torchserve.grpc_api.statuses import abort

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mar_serve import Server

__all__ = ["SERVICE", "ManagementService"]

SERVICE = "org.pytorch.serve.grpc.management.ManagementAPIsService"
DEFAULT_LIMIT = 100


class ManagementService:
    """``ManagementAPIsService``: the verbs of the HTTP API, with its answers as text.

    Args:
        server: Whose models are managed.
    """

    def __init__(self, server: Server) -> None:
        self._api = server.management

    async def describe(self, request: Any) -> str:
        """A model, or all of its versions, as JSON."""
        document = await self._api.describe(
            request.model_name, request.model_version or None, customized=request.customized
        )
        return json.dumps(document, indent=2)

    async def list(self, request: Any) -> str:
        """The models, as JSON. TorchServe gives none where no limit is named; here that is 100."""
        document = self._api.listed(request.limit or DEFAULT_LIMIT, request.next_page_token)
        return json.dumps(document, indent=2)

    async def register(self, request: Any) -> str:
        """Register a model."""
        self._check_enabled()
        # Numbers that are not sent are 0, which no one means: they leave the model's own.
        fields = (
            *("url", "model_name", "handler", "runtime", "batch_size", "max_batch_delay"),
            *("initial_workers", "response_timeout", "startup_timeout"),
        )
        given = {name: str(value) for name in fields if (value := getattr(request, name))}
        given |= {"synchronous": str(request.synchronous).lower()}
        given |= {"s3_sse_kms": str(request.s3_sse_kms).lower()}
        return _status(await self._api.register(given))

    async def scale(self, request: Any) -> str:
        """Change how many workers a model has."""
        fields = ("min_worker", "max_worker", "number_gpu", "timeout")
        given = {name: str(value) for name in fields if (value := getattr(request, name))}
        given |= {"synchronous": str(request.synchronous).lower()}
        scaled = self._api.scale(request.model_name, request.model_version or None, given)
        return _status(await scaled)

    async def set_default(self, request: Any) -> str:
        """Name the version that is asked where none is named."""
        made = self._api.set_default(request.model_name, request.model_version)
        return _status(await made)

    async def unregister(self, request: Any) -> str:
        """Remove a model, or one version."""
        self._check_enabled()
        removed = self._api.unregister(request.model_name, request.model_version or None)
        return _status(await removed)

    def handlers(self) -> grpc.GenericRpcHandler:
        """What a gRPC server is given."""
        verbs: dict[str, tuple[Any, Any]] = {
            "DescribeModel": (self.describe, messages.DescribeModelRequest),
            "ListModels": (self.list, messages.ListModelsRequest),
            "RegisterModel": (self.register, messages.RegisterModelRequest),
            "ScaleWorker": (self.scale, messages.ScaleWorkerRequest),
            "SetDefault": (self.set_default, messages.SetDefaultRequest),
            "UnregisterModel": (self.unregister, messages.UnregisterModelRequest),
        }
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: grpc.unary_unary_rpc_method_handler(
                    _answering(verb),
                    request_deserializer=message.FromString,
                    response_serializer=messages.ManagementResponse.SerializeToString,
                )
                for name, (verb, message) in verbs.items()
            },
        )

    def _check_enabled(self) -> None:
        if not self._api.enabled:
            raise ServeError(403, "ModelException", "Model API disabled")


def _answering(verb: Callable[[Any], Awaitable[str]]) -> Callable[[Any, Any], Awaitable[Any]]:
    async def answer(request: Any, context: Any) -> messages.ManagementResponse:
        try:
            return messages.ManagementResponse(msg=await verb(request))
        except ServeError as error:
            await abort(context, error)

    return answer


def _status(answer: tuple[int, dict[str, Any]]) -> str:
    """What the HTTP API says under ``status``, which is all that TorchServe's clients get."""
    _, document = answer
    return str(document["status"])
