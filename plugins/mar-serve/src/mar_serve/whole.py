"""Whole answers in one write.

uvicorn writes an answer's head when it is told of it, and its body after that: two calls of the
system, a client that is woken twice, and a look at every byte of headers that are ours. For an
answer that is small and there already, one write is enough; the rest is the largest part of what a
request costs here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

if TYPE_CHECKING:
    from starlette.types import Send

__all__ = ["SMALL", "Headers", "send_whole"]

Headers = list[tuple[bytes, bytes]]

# Larger ones are worth neither a copy nor an exception from uvicorn's flow control.
SMALL = 60 << 10


async def send_whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send an answer that is whole.

    Args:
        send: ASGI's.
        status: Its status.
        headers: Its headers, ``content-length`` among them, their names in lower case.
        body: Its body.
    """
    cycle = getattr(send, "__self__", None)
    if isinstance(cycle, RequestResponseCycle) and len(body) <= SMALL and _is_plain(cycle):
        _write(cycle, status, headers, body)
        return
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _is_plain(cycle: RequestResponseCycle) -> bool:
    """Whether there is nothing to wait for, or to leave out."""
    busy = cycle.response_started or cycle.disconnected or cycle.flow.write_paused
    return not busy and cycle.scope["method"] != "HEAD"


def _write(cycle: RequestResponseCycle, status: int, headers: Headers, body: bytes) -> None:
    """What uvicorn does with the two messages of an answer, in one write."""
    pieces = [STATUS_LINE[status]]
    for name, value in cycle.default_headers:
        pieces += (name, b": ", value, b"\r\n")
    keeps = cycle.keep_alive
    for name, value in headers:
        pieces += (name, b": ", value, b"\r\n")
        if name == b"connection":
            keeps = False
    lines = len(pieces) // 4 + 1
    if not keeps and cycle.keep_alive == keeps:
        pieces.append(b"connection: close\r\n")
        lines += 1
    head = b"".join(pieces)
    if head.count(b"\n") != lines or head.count(b"\r") != lines:
        raise ValueError("a header of an answer has a line break in it")
    cycle.response_started = True
    cycle.waiting_for_100_continue = False
    cycle.keep_alive = keeps
    cycle.transport.write(b"%b\r\n%b" % (head, body))
    cycle.response_complete = True
    cycle.message_event.set()
    if not keeps:
        cycle.transport.close()
    cycle.on_response()
