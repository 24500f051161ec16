"""Predictions and explanations: from a request's bytes to its answer, as plain ASGI.

This is the path that every request takes, so it goes through no router and no framework's objects.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from typing import TYPE_CHECKING

from mar_core import Request
from mar_serve.bodies import content_type_of, handler_headers, read_body
from mar_serve.errors import failure_error, internal, valid_status
from mar_serve.protocol import arrival_of
from mar_serve.streams import Stream
from mar_serve.whole import SMALL, send_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import Receive, Scope, Send

    from mar_core import Reply
    from mar_serve.answers import Headers
    from mar_serve.queues import Job
    from mar_serve.server import Server
    from mar_serve.version import ModelVersion

__all__ = ["Inference", "new_id"]

BAD = 400
# What the server says itself; a handler that sets it would break the answer.
_OWN_HEADERS = frozenset({b"content-length", b"transfer-encoding", b"connection", b"x-request-id"})
# What no header's value may have; a tab is no part of it.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

logger = logging.getLogger("mar_serve.http")


def new_id() -> str:
    """An id for a request, in the form of a random UUID."""
    raw = f"{random.getrandbits(128):032x}"  # no secret, and no call of the system
    return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-a{raw[17:20]}-{raw[20:]}"


class Inference:
    """Answers one request with one row.

    Args:
        server: The server.
        common: The headers of every answer.
    """

    def __init__(self, server: Server, common: Headers) -> None:
        self._server = server
        self._common = common
        self._limit = server.config.max_request_size
        self._decode = server.config.decode

    async def predict(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        name: str | Callable[[Request], str],
        version: str | None = None,
        url_path: str = "",
        explain: bool = False,
        fields: Mapping[str, str] | None = None,
        request_id: str,
    ) -> None:
        """Answer a request.

        Args:
            scope: The request.
            receive: Its body.
            send: Its answer.
            name: The model, or what says from the request which it is.
            version: The version that the client named.
            url_path: What stood behind the version.
            explain: Whether to explain.
            fields: More fields of the row.
            request_id: What to call it.

        Raises:
            ServeError: It gets no answer; nothing has been sent.
        """
        config = self._server.config
        body = await read_body(scope, receive, limit=self._limit, seconds=config.body_seconds)
        request = Request(
            id=request_id,
            headers=handler_headers(scope, url_path=url_path, explain=explain),
            body=body,
            content_type=content_type_of(scope),
            fields=fields,
            decode=self._decode,
        )
        called = name if isinstance(name, str) else name(request)
        found = self._server.repository.find(called, version)
        job = found.job(request, explain=explain)
        arrival = arrival_of(scope)
        if arrival is not None:
            arrival.on_gone = job.forget
        outcome = await found.ask(job, asked=version)
        if isinstance(outcome, Stream):
            more = [(b"x-request-id", request_id.encode()), *self._common]
            reply = await outcome.send_to(send, more, arrival)
            found.answered(job, reply, named=version is not None)
        elif outcome is not None:
            await self._answer(send, outcome, job, found)

    async def _answer(self, send: Send, reply: Reply, job: Job, found: ModelVersion) -> None:
        if reply.failure is not None:
            raise failure_error(reply)
        limit = self._server.config.max_response_size
        if len(reply.body) > limit:
            logger.error("%s: the answer to %s is over %s bytes", found, job.request.id, limit)
            raise internal("Worker died.")
        headers = [(b"x-request-id", job.request.id.encode()), *self._common]
        headers += own_headers(reply)
        headers.append((b"content-length", str(len(reply.body)).encode()))
        status = valid_status(reply.status)
        if status >= BAD:
            headers.append((b"connection", b"close"))
        if len(reply.body) <= SMALL:
            await send_whole(send, status, headers, reply.body)
            return
        # It does not fit into the socket: a client that reads nothing would hold it for ever.
        async with asyncio.timeout(self._server.config.body_seconds):
            await send_whole(send, status, headers, reply.body)


def own_headers(reply: Reply) -> Headers:
    """The headers that the handler set, without those that would break the answer."""
    headers = []
    for name, value in reply.headers.items():
        key = name.encode("latin-1", "replace").lower()
        sound = key not in _OWN_HEADERS and name.isascii() and not _CONTROL.search(value)
        if sound and name.replace("-", "").replace("_", "").isalnum():
            headers.append((key, value.encode("latin-1", "replace")))
    kind = reply.content_type
    has_type = any(key == b"content-type" for key, _ in headers)
    if kind is not None and not has_type and not _CONTROL.search(kind):
        headers.append((b"content-type", kind.encode("latin-1", "replace")))
    return headers
