"""Load at a pace: requests are sent when they are due, whether the ones before are answered or not.

A time counts from when the request was due, so that a server that stalls pays for all who wait, and
so does a client that falls behind: how far behind it was is told beside.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httptools
import uvloop

if TYPE_CHECKING:
    from servers import Running

GOOD = range(200, 300)
REFUSED = 503
# How long answers are waited for when everything is sent.
PATIENCE = 60


@dataclass(kw_only=True)
class Seen:
    """What became of the requests, in seconds each.

    Attributes:
        answered: Those with a status of 2xx.
        refused: Those with 503.
        behind: How much later than due each was sent.
        lost: Requests with another status, or with none.
        connections: How many were opened.
    """

    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    behind: list[float] = field(default_factory=list)
    lost: int = 0
    connections: int = 0


def paced(server: Running, *, rate: float, seconds: float) -> Seen:
    """Send so many requests a second for so long, and wait for all answers."""
    return uvloop.run(_paced(server, rate, seconds))


def percentile(took: list[float], part: int) -> float:
    """Seconds that so many of a hundred took at most; NaN of none."""
    if len(took) < 2:
        return took[0] if took else float("nan")
    return statistics.quantiles(took, n=100, method="inclusive")[part - 1]


async def _paced(server: Running, rate: float, seconds: float) -> Seen:
    client = _Client(server)
    start = time.perf_counter()
    sent = 0
    while True:
        now = time.perf_counter()
        due = start + sent / rate
        if due > start + seconds:
            break
        if due > now:
            await asyncio.sleep(due - now)
            continue
        client.seen.behind.append(now - due)
        client.send(due)
        sent += 1
        if not sent % 64:  # one that is behind must not keep the answers waiting besides
            await asyncio.sleep(0)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(client.all_ended(), PATIENCE)
    client.seen.lost += client.open
    client.close()
    return client.seen


class _Client:
    """Requests over as many connections as are needed; one that is free is used again.

    Attributes:
        seen: What became of the requests.
        open: How many have no answer yet.
    """

    def __init__(self, server: Running) -> None:
        address = urlsplit(server.url)
        body = server.body.read_bytes()
        head = (
            f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Content-Type: {server.content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.request = head.encode() + body
        self.seen = Seen()
        self.open = 0
        self._address = address.hostname, address.port
        self._free: list[_Connection] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()

    def send(self, due: float) -> None:
        """Send a request over a connection that is free, or a new one."""
        self.open += 1
        self._ended.clear()
        if self._free:
            self._free.pop().ask(due)
            return
        task = asyncio.get_running_loop().create_task(self._connect(due))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(lambda: _Connection(self), *self._address)
        except OSError:
            self.ended(due, 0)
            return
        self.seen.connections += 1
        connection.ask(due)

    def ended(self, due: float, status: int) -> None:
        """A request has its answer, or none."""
        self.open -= 1
        if not self.open:
            self._ended.set()
        took = time.perf_counter() - due
        if status in GOOD:
            self.seen.answered.append(took)
        elif status == REFUSED:
            self.seen.refused.append(took)
        else:
            self.seen.lost += 1

    async def all_ended(self) -> None:
        """Wait until every request has its answer."""
        while self.open:
            await self._ended.wait()

    def is_free(self, connection: _Connection) -> None:
        """It can take another request."""
        self._free.append(connection)

    def is_gone(self, connection: _Connection) -> None:
        """It can take none any more."""
        if connection in self._free:
            self._free.remove(connection)

    def close(self) -> None:
        """Close what is free."""
        for connection in self._free:
            connection.transport.close()


class _Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    transport: Any

    def __init__(self, client: _Client) -> None:
        self._client = client
        self._due: float | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self, due: float) -> None:
        self._due = due
        self._parser = httptools.HttpResponseParser(self)
        self.transport.write(self._client.request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        due, self._due = self._due, None
        assert due is not None
        self._client.ended(due, self._parser.get_status_code())
        if self._parser.should_keep_alive():
            self._client.is_free(self)
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self._client.is_gone(self)
        if self._due is not None:
            self._client.ended(self._due, 0)
