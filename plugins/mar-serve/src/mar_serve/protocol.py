"""uvicorn's protocol for HTTP, and what TorchServe's clients and unfriendly ones need besides.

ASGI lower-cases the names of headers, and handlers look them up as the client wrote them; uvicorn
bounds neither headers nor the time that a client takes for them; and a request whose client has
gone should cost nothing, which a plain ASGI application finds out by a task for each request.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from mar_serve.tls import Prompt

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Arrival", "MarProtocol", "arrival_of"]

HEADER_BYTES = 64 << 10
HEADER_COUNT = 200
URL_BYTES = 16 << 10
TOO_LONG, TOO_MANY = 414, 431


class Arrival:
    """What came with one request besides its ASGI scope.

    Attributes:
        headers: The headers in the client's case.
        connection: The connection that it came by.
        on_gone: Called when the client leaves before it has its answer.
    """

    __slots__ = ("connection", "headers", "on_gone")

    def __init__(self, connection: MarProtocol) -> None:
        self.connection = connection
        self.headers: list[tuple[bytes, bytes]] = []
        self.on_gone: Callable[[], None] | None = None

    @property
    def whole(self) -> bool:
        """Whether all of the body has arrived."""
        cycle: Any = self.connection.cycle
        return not cycle.more_body

    def cut(self) -> None:
        """End the connection in the middle of an answer, so that the client sees it was cut."""
        cycle: Any = self.connection.cycle
        cycle.disconnected = True
        self.connection.transport.close()


def arrival_of(scope: Any) -> Arrival | None:
    """The arrival of a request; None under another server than ours."""
    found = scope.get("extensions", {}).get("mar")
    return found if isinstance(found, Arrival) else None


class MarProtocol(HttpToolsProtocol):  # type: ignore[misc, unused-ignore]
    """One connection.

    Attributes:
        header_seconds: How long a client may take for its headers.
    """

    header_seconds = 20.0
    _status = 400
    _bytes = 0
    _reading = True
    _patience: asyncio.TimerHandle | None = None
    _arrival: Arrival

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        if transport.get_extra_info("ssl_object") is not None:
            transport = Prompt(transport, self.loop)
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that waits for its answer, if one does."""
        self._calm()
        super().connection_lost(exc)
        arrival = getattr(self, "_arrival", None)
        waiting: list[Arrival] = [] if arrival is None else [arrival]
        waiting += [self_of for cycle, _ in self.pipeline if (self_of := arrival_of(cycle.scope))]
        cycle: Any = self.cycle
        if cycle is not None and (current := arrival_of(cycle.scope)):
            waiting.append(current)
        for one in waiting:
            if one.on_gone is not None:
                one.on_gone()

    def data_received(self, data: bytes) -> None:
        """Parse what came; headers that come too slowly end the connection."""
        super().data_received(data)
        if self._reading:
            if self._patience is None:
                self._wait()
        elif self._patience is not None:
            self._calm()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._bytes = 0
        self._reading = True
        self._arrival = Arrival(self)
        scope: Any = self.scope
        scope["extensions"] = {"mar": self._arrival}

    def on_url(self, url: bytes) -> None:
        """A piece of the path."""
        super().on_url(url)
        if len(self.url) > URL_BYTES:
            self._status = TOO_LONG
            raise ValueError("the URL is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        headers = self._arrival.headers
        self._bytes += len(name) + len(value)
        if self._bytes > HEADER_BYTES or len(headers) >= HEADER_COUNT:
            self._status = TOO_MANY
            raise ValueError("too many headers")
        headers.append((name, value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The request can be looked at."""
        self._reading = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or too much of it, in the form of every other error.

        What follows a whole request, such as a body whose length nobody has given, costs that
        request nothing: it is answered, and then the connection ends.
        """
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            cycle.keep_alive = False
            self.flow.pause_reading()
            return
        text = {TOO_LONG: "The URL is too long.", TOO_MANY: "The headers are too large."}
        error = {
            "code": self._status,
            "type": "BadRequestException",
            "message": text.get(self._status, msg),
        }
        body = json.dumps(error, indent=2).encode() + b"\n"
        head = [
            STATUS_LINE[self._status],
            b"content-type: application/json\r\nconnection: close\r\ncontent-length: ",
            str(len(body)).encode(),
            b"\r\n\r\n",
        ]
        self.transport.write(b"".join(head) + body)
        self.transport.close()

    def _wait(self) -> None:
        self._patience = self.loop.call_later(self.header_seconds, self._lose_patience)

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _lose_patience(self) -> None:
        self._patience = None
        if self._reading and not self.transport.is_closing():
            self.transport.close()
