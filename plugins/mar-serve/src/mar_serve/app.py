"""The ASGI application of a listener: the hot path first, everything else through a router."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from mar_serve.answers import common_headers, error_answer, send_to
from mar_serve.bodies import Gone
from mar_serve.errors import ServeError, internal, stopping
from mar_serve.inference import Inference, new_id
from mar_serve.log import escaped
from mar_serve.protocol import arrival_of
from mar_serve.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mar_serve.server import Server

__all__ = ["create_app"]

logger = logging.getLogger("mar_serve.http")


def create_app(server: Server, kinds: Collection[str]) -> ASGIApp:
    """Make the application of one listener.

    Args:
        server: The server.
        kinds: What the listener is for: ``inference``, ``management``, ``metrics``; several where
            their addresses are equal.
    """
    common = common_headers(server.config)
    hot = Inference(server, common) if "inference" in kinds else None
    routes = Routes(server, kinds, common, hot)
    tokens = server.tokens

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id = new_id()
        try:
            path: str = scope["path"]
            if (
                hot is not None
                and path.startswith("/predictions/")
                and scope["method"] != "OPTIONS"
            ):
                if tokens is not None:
                    tokens.check(scope, "inference")
                if server.stopping:
                    raise stopping()  # noqa: TRY301 - one place where errors become answers
                name, version, rest = split(path[13:])
                await hot.predict(
                    scope, receive, send,
                    name=name, version=version, url_path=rest, request_id=request_id,
                )  # fmt: skip
            else:
                await routes(scope, receive, send, request_id)
        except ServeError as error:
            await send_to(send, error_answer(error), common, request_id)
        except (Gone, TimeoutError):
            cut(scope)
        except Exception:
            logger.exception("request %s could not be answered", request_id)
            answer = error_answer(internal("The server could not answer; its log says why."))
            await send_to(send, answer, common, request_id)

    return _noted(app) if server.config.access_log else app


access = logging.getLogger("mar_serve.access")


def _noted(app: ASGIApp) -> ASGIApp:
    """The same application, with a line in the access log for each answer."""

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, _noting(scope, send))

    return noted


def _noting(scope: Scope, send: Send) -> Send:
    """Write a line of TorchServe's access log when the answer is out: who, what, status, ms."""
    begun = time.monotonic()
    status = 0

    async def noting(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            client = scope.get("client") or ("unix", 0)
            query = scope["query_string"].decode("latin-1")
            target = f"{scope['path']}?{query}" if query else scope["path"]
            took = round((time.monotonic() - begun) * 1000)
            access.info(
                '/%s:%s "%s %s HTTP/%s" %s %s',
                *(*client, scope["method"], escaped(target), scope["http_version"], status, took),
            )

    return noting


def split(path: str) -> tuple[str, str | None, str]:
    """What stands behind ``/predictions/``: the model, its version, and the rest."""
    name, _, rest = path.partition("/")
    version, _, rest = rest.partition("/")
    return name, version or None, rest


def cut(scope: Scope) -> None:
    """End a connection that no answer can be sent to."""
    arrival = arrival_of(scope)
    if arrival is not None:
        arrival.cut()
