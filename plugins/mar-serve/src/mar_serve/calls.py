"""One request on a path that is not the hot one, and what answers it."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mar_serve.answers import Answer, send_to
from mar_serve.bodies import content_type_of, handler_headers, read_body
from mar_serve.errors import bad_request, stopping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Receive, Scope, Send

    from mar_core import Reply
    from mar_serve.answers import Headers
    from mar_serve.server import Server
    from mar_serve.tokens import Token

__all__ = ["Call", "Endpoint", "Handler"]


class Call:
    """A request.

    Args:
        server: The server.
        scope: The ASGI scope.
        receive: The body.
        send: The answer.

    Attributes:
        params: The parts of the path that have names.
        request_id: What the request is called.
    """

    def __init__(self, server: Server, scope: Scope, receive: Receive, send: Send) -> None:
        self.server = server
        self.scope = scope
        self.receive = receive
        self.send = send
        self.params: dict[str, str] = scope.get("path_params", {})
        self.request_id: str = scope["mar_id"]

    @property
    def method(self) -> str:
        """The HTTP method."""
        return str(self.scope["method"])

    @cached_property
    def query(self) -> dict[str, str]:
        """The query's parameters; of several of one name, the first."""
        text = self.scope["query_string"].decode("latin-1")
        pairs = urllib.parse.parse_qsl(text, keep_blank_values=True, max_num_fields=1000)
        return dict(reversed(pairs))

    @property
    def media_type(self) -> str:
        """The content type without its parameters."""
        return (content_type_of(self.scope) or "").partition(";")[0].strip().lower()

    def handler_headers(self) -> dict[str, Any]:
        """The request's headers as handlers look them up, with those that the server adds."""
        return handler_headers(self.scope)

    @property
    def content_type(self) -> str | None:
        """The content type with its parameters."""
        return content_type_of(self.scope)

    async def body(self) -> bytes:
        """The body.

        Raises:
            ServeError: It is too large or too slow.
        """
        config = self.server.config
        return await read_body(
            self.scope, self.receive, limit=config.max_request_size, seconds=config.body_seconds
        )

    async def json(self) -> Any:
        """The body as JSON.

        Raises:
            ServeError: It is none.
        """
        return parsed(await self.body())

    async def ask(
        self, model: str, rows: Sequence[dict[str, Any]], *, version: str | None = None
    ) -> list[Reply]:
        """Have a model answer rows, each a request of its own that shares batches with others.

        Args:
            model: The model.
            rows: What the handler sees, a dict for each.
            version: The version; None is the default one.

        Returns:
            A reply for each row, none of them a failure.

        Raises:
            ServeError: There is no such model, or a row gets no answer.
        """
        from mar_serve.rows import ask_rows

        if self.server.stopping:
            raise stopping()
        found = self.server.repository.find(model, version)
        return await ask_rows(self, found, rows, asked=version)


def parsed(body: bytes) -> Any:
    """A body as JSON.

    Raises:
        ServeError: It is none.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise bad_request("The body is not valid JSON.") from None


Handler = Callable[[Call], Awaitable[Answer | None]]


class Endpoint:
    """A handler as the ASGI application of a route.

    Args:
        server: The server.
        handler: What answers; None when it has sent the answer itself.
        common: The headers of every answer.
        token: The key that it asks for, where tokens are on.
        guarded: Whether pages of other sites are kept out.
    """

    def __init__(
        self,
        server: Server,
        handler: Handler,
        common: Headers,
        *,
        token: Token | None = None,
        guarded: bool = False,
    ) -> None:
        self._server = server
        self._handler = handler
        self._common = common
        self._token = token
        self._guarded = guarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            ServeError: It gets no answer; nothing has been sent.
        """
        server = self._server
        if self._guarded:
            server.guard.check(scope)
        if self._token is not None and server.tokens is not None and scope["method"] != "OPTIONS":
            server.tokens.check(scope, self._token)
        call = Call(server, scope, receive, send)
        answer = await self._handler(call)
        if answer is not None:
            server.telemetry.counted(answer.status)
            await send_to(send, answer, self._common, call.request_id)
