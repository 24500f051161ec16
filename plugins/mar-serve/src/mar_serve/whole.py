"""Whole answers in one write.

uvicorn writes an answer's head when it is told of it, and its body after that: two calls of the
system, and a client that is woken twice. For an answer that is small and there already, one is
enough; it is the largest part of what a request costs here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import Send

    from mar_serve.answers import Headers

__all__ = ["SMALL", "send_whole"]

# Larger ones are worth neither a copy nor an exception from uvicorn's flow control.
SMALL = 60 << 10


async def send_whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send an answer that is whole.

    Args:
        send: ASGI's.
        status: Its status.
        headers: Its headers, ``content-length`` among them.
        body: Its body.
    """
    start = {"type": "http.response.start", "status": status, "headers": headers}
    cycle: Any = getattr(send, "__self__", None)
    if len(body) > SMALL or not hasattr(cycle, "transport"):
        await send(start)
        await send({"type": "http.response.body", "body": body})
        return
    cork = _Cork(cycle.transport)
    cycle.transport = cork
    try:
        await send(start)
        await send({"type": "http.response.body", "body": body})
    finally:
        cycle.transport = cork.transport
        cork.flush()


class _Cork:
    """A transport that keeps what is written until it is flushed, or closed."""

    __slots__ = ("pieces", "transport")

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def flush(self) -> None:
        if self.pieces:
            self.transport.write(b"".join(self.pieces))
            self.pieces.clear()

    def close(self) -> None:
        self.flush()
        self.transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)
