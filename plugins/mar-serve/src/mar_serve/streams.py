"""Answers in pieces: a chunk for each, as the handler makes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Send

    from mar_core import Reply
    from mar_serve.answers import Headers
    from mar_serve.protocol import Arrival

__all__ = ["Stream"]

# Pieces that wait for a slow client, in bytes; one that lags further behind is cut off.
MOST_BEHIND = 16 << 20


class Stream:
    """The pieces of one answer.

    Attributes:
        reply: The end of the answer; None before it is there, and when the client has gone.
        over: Whether nothing more will come.
    """

    __slots__ = ("_behind", "_pieces", "_wake", "over", "reply")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._behind = 0
        self._wake = asyncio.Event()
        self.reply: Reply | None = None
        self.over = False

    def put(self, piece: bytes) -> None:
        """Take a piece that the handler has made."""
        self._pieces.append(piece)
        self._behind += len(piece)
        self._wake.set()

    def end(self, reply: Reply | None) -> None:
        """Take the end of the answer."""
        self.reply = reply
        self.over = True
        self._wake.set()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The pieces as they come, until the answer is whole or breaks off."""
        while not self.over or self._pieces:
            await self._wake.wait()
            self._wake.clear()
            while self._pieces:
                piece = self._pieces.pop(0)
                self._behind -= len(piece)
                yield piece

    async def send_to(self, send: Send, headers: Headers, arrival: Arrival | None) -> Reply | None:
        """Send what comes, until the answer is whole.

        An answer that breaks off in the middle cuts the connection: its status is long out.

        Returns:
            The reply; None when the client has gone, or was cut off.
        """
        headers = [*headers, (b"ts_stream_next", b"true")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while not self.over or self._pieces:
            await self._wake.wait()
            self._wake.clear()
            await self._flush(send)
            if self._behind > MOST_BEHIND:
                break
        else:
            if self.reply is not None and self.reply.failure is None:
                await send({"type": "http.response.body", "body": self.reply.body})
                return self.reply
        if arrival is not None:
            arrival.cut()
        return self.reply

    async def _flush(self, send: Send) -> None:
        while self._pieces and self._behind <= MOST_BEHIND:
            piece = self._pieces.pop(0)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            self._behind -= len(piece)
