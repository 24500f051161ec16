"""The two gRPC listeners: who may call, where, and for how long."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
from mar_serve import ServeError

from mar_torchserve.grpc_api.inference import InferenceService
from mar_torchserve.grpc_api.management import ManagementService
from mar_torchserve.grpc_api.open_inference import OpenInferenceService

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mar_serve import Server

    from mar_torchserve.settings import Settings

__all__ = ["Listeners"]

logger = logging.getLogger("mar_torchserve.grpc")


class Listeners:
    """Both listeners, started and stopped with the server.

    Args:
        server: Whose models are asked and managed.
        settings: Where to listen, and with which limits.
    """

    def __init__(self, server: Server, settings: Settings) -> None:
        self._settings = settings
        config = settings.server
        inference = [InferenceService(server, settings.sequence_headers).handlers()]
        if config.open_inference:
            inference += OpenInferenceService(server).handlers()
        self._made = [
            self._listener(server, "inference", settings.grpc_inference, inference),
            self._listener(
                server, "management", settings.grpc_management,
                [ManagementService(server).handlers()],
            ),
        ]  # fmt: skip

    async def start(self) -> None:
        """Begin to listen."""
        for listener in self._made:
            await listener.start()

    async def stop(self, grace: float) -> None:
        """Take no more calls, and let those that go on have so many seconds."""
        for listener in self._made:
            await listener.stop(grace)

    def _listener(
        self, server: Server, kind: str, address: str, handlers: list[grpc.GenericRpcHandler]
    ) -> grpc.aio.Server:
        config = self._settings.server
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", config.max_request_size),
            ("grpc.max_send_message_length", config.max_response_size),
            ("grpc.so_reuseport", 0),
        ]
        age, grace = self._settings.grpc_ages[kind]
        if age is not None:
            options.append(("grpc.max_connection_age_ms", age))
        if grace is not None:
            options.append(("grpc.max_connection_age_grace_ms", grace))
        checks = [] if server.tokens is None else [_Tokens(server, kind)]
        made = grpc.aio.server(interceptors=checks, options=options)
        made.add_generic_rpc_handlers(handlers)
        credentials = self._credentials()
        if credentials is None:
            made.add_insecure_port(address)
        else:
            made.add_secure_port(address, credentials)
        logger.info("gRPC %s API: %s", kind, address)
        return made

    def _credentials(self) -> grpc.ServerCredentials | None:
        config = self._settings.server
        if not self._settings.grpc_encrypted:
            return None
        if config.private_key is None or config.certificate is None:
            raise ServeError(500, "KeyException", "enable_grpc_ssl needs a certificate.")
        pair = (config.private_key.read_bytes(), config.certificate.read_bytes())
        return grpc.ssl_server_credentials([pair])


class _Tokens(grpc.aio.ServerInterceptor):  # type: ignore[misc, unused-ignore]
    """Lets a call through that carries its token in the metadata."""

    def __init__(self, server: Server, kind: str) -> None:
        self._tokens: Any = server.tokens
        self._kind = kind

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: Any
    ) -> Any:
        given = dict(details.invocation_metadata).get("authorization", "")
        try:
            self._tokens.check_value(given, self._kind)
        except ServeError as error:
            return grpc.unary_unary_rpc_method_handler(partial(_refuse, error.message))
        return await continuation(details)


async def _refuse(message: str, _request: Any, context: Any) -> None:
    await context.abort(grpc.StatusCode.PERMISSION_DENIED, message)
