"""Load: so many clients, each sending one request after the other for so many seconds.

``wrk`` where it is installed, since a client in Python would be slower than the servers; else
httpx.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from servers import Running

SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "{kind}"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
done = function(summary, latency)
  local bad = summary.errors
  io.write(string.format("found %d %d %d %d %d\\n", summary.requests, summary.duration,
    bad.status + bad.connect + bad.read + bad.write + bad.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""
FOUND = re.compile(r"^found (\d+) (\d+) (\d+) (\d+) (\d+)$", re.MULTILINE)
MEGA = 1e6
GOOD = 300


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What clients saw.

    Attributes:
        rate: Answers a second.
        p50: Seconds that half of the answers took at most.
        p99: Seconds that 99 of 100 took at most.
        failed: Requests without an answer, or with another status than 2xx.
    """

    rate: float
    p50: float
    p99: float
    failed: int


def load(server: Running, *, clients: int, seconds: float) -> Measured:
    """Send requests and measure."""
    if shutil.which("wrk"):
        return _wrk(server, clients, seconds)
    return asyncio.run(_httpx(server, clients, seconds))


def _wrk(server: Running, clients: int, seconds: float) -> Measured:
    script = server.body.with_name(f"{server.body.name}.lua")
    script.write_text(SCRIPT.format(body=server.body, kind=server.content_type))
    words = ["wrk", "--threads", "1", "--connections", str(clients), "--timeout", "60s"]
    words += ["--duration", f"{max(1, round(seconds))}s", "--script", str(script), server.url]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    match = FOUND.search(done.stdout)
    assert match is not None, done.stdout + done.stderr
    requests, took, failed, p50, p99 = map(int, match.groups())
    return Measured(
        rate=(requests - failed) / (took / MEGA), p50=p50 / MEGA, p99=p99 / MEGA, failed=failed
    )


async def _httpx(server: Running, clients: int, seconds: float) -> Measured:
    import httpx

    body, headers = server.body.read_bytes(), {"Content-Type": server.content_type}
    took: list[float] = []
    failed = 0
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:
        end = time.perf_counter() + seconds

        async def one() -> None:
            nonlocal failed
            while (start := time.perf_counter()) < end:
                answer = await client.post(server.url, content=body, headers=headers)
                failed += answer.status_code >= GOOD
                took.append(time.perf_counter() - start)

        await asyncio.gather(*(one() for _ in range(clients)))
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    return Measured(rate=(len(took) - failed) / seconds, p50=cuts[49], p99=cuts[98], failed=failed)
