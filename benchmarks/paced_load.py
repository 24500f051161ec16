"""Load at a pace: requests are sent when they are due, whether the ones before are answered or not.

A time counts from when the request was due, so that a server that stalls pays for all who wait.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from servers import Running

GOOD = range(200, 300)
REFUSED = 503


@dataclass(kw_only=True)
class Seen:
    """What became of the requests, in seconds each.

    Attributes:
        answered: Those with a status of 2xx.
        refused: Those with 503.
        lost: Requests with another status, or with none.
    """

    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    lost: int = 0


def paced(server: Running, *, rate: float, seconds: float) -> Seen:
    """Send so many requests a second for so long, and wait for all answers."""
    return asyncio.run(_paced(server, rate, seconds))


def percentile(took: list[float], part: int) -> float:
    """Seconds that so many of a hundred took at most; NaN of none."""
    if len(took) < 2:
        return took[0] if took else float("nan")
    return statistics.quantiles(took, n=100, method="inclusive")[part - 1]


async def _paced(server: Running, rate: float, seconds: float) -> Seen:
    address = urlsplit(server.url)
    body = server.body.read_bytes()
    head = (
        f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Content-Type: {server.content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    seen = Seen()

    async def ask(due: float) -> None:
        try:
            connection = (
                idle.pop()
                if idle
                else await asyncio.open_connection(address.hostname, address.port)
            )
            status, closes = await _exchange(*connection, request)
        except (OSError, EOFError, ValueError):
            seen.lost += 1
            return
        took = time.perf_counter() - due
        if status in GOOD:
            seen.answered.append(took)
        elif status == REFUSED:
            seen.refused.append(took)
        else:
            seen.lost += 1
        if closes:
            connection[1].close()
        else:
            idle.append(connection)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in itertools.count():
            due = start + number / rate
            if due > start + seconds:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(ask(due))
    for _, writer in idle:
        writer.close()
    return seen


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bool]:
    """The status of one answer, and whether the connection ends with it."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head.split(b" ", 2)[1])
    length = next(
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    await reader.readexactly(length)
    return status, b"\r\nconnection: close" in head
