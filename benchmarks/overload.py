"""``mar serve`` and TorchServe at half of the load that they bear, and at four times that load.

At half of it an answer should not wait: the aim is a p99 of at most TorchServe's p50 under full
load. At four times a server should answer as many as ever, and refuse the rest at once.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from harness import table
from paced_load import paced, percentile
from served_models import make
from server_load import load
from servers import SERVERS
from serving import DELAYS, compare, settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness import Settings
    from servers import Running

MILLI = 1000
NAMES = ("mar serve", "TorchServe")
# Milliseconds that a server may wait to fill a batch of a model that takes 20.
DELAY = 5
# What may wait: refusing begins where that many do.
QUEUE = 100


def tables(settings: Settings) -> Iterator[str]:
    """A table each for an empty handler, for models that take 20 ms, and for a network."""
    kinds = settings.pick(
        quick=("device",),
        normal=("noop", "device", "processor", "mnist"),
        full=("noop", "device", "processor", "mnist", "resnet18"),
    )
    for kind in kinds:
        served = make(kind, settings.folder, size=8, delay=DELAYS.get(kind, DELAY), queue=QUEUE)
        with contextlib.ExitStack() as stack:
            servers = {name: stack.enter_context(SERVERS[name](served)) for name in NAMES}
            compare(servers)
            rows = [
                row
                for name, server in servers.items()
                for row in _measured(name, server, settings, kind)
            ]
        head = (
            "", "sent/s", "late ms", "answered/s", "p50 ms", "p99 ms", "refused/s", "p50 ms",
            "p99 ms", "lost", "connections", "CPU ms",
        )  # fmt: skip
        yield table(f"{kind}, batches of up to 8, {QUEUE} may wait", head, rows)


def _measured(
    name: str, server: Running, settings: Settings, kind: str
) -> Iterator[tuple[str, ...]]:
    seconds = settings.pick(quick=1, normal=8, full=20)
    load(server, clients=64, seconds=settings.pick(quick=1, normal=4, full=8))
    settle(server)
    before = server.cpu()
    full = load(server, clients=64, seconds=seconds)
    spent = (server.cpu() - before) / max(1.0, full.rate * seconds)
    settle(server)
    yield (
        f"{name}, 64 clients", "", "", f"{full.rate:.0f}", f"{full.p50 * MILLI:.1f}",
        f"{full.p99 * MILLI:.1f}", "", "", "", str(full.failed), "64", f"{spent * MILLI:.3f}",
    )  # fmt: skip
    # No client on the same two cores could overload a server whose handler does nothing.
    for times in (0.5,) if kind == "noop" else (0.5, 4.0):
        rate = max(1.0, full.rate * times)
        yield _paced(f"{name}, {times:g} × that", server, rate, seconds)
        settle(server)


def _paced(name: str, server: Running, rate: float, seconds: float) -> tuple[str, ...]:
    before = server.cpu()
    seen = paced(server, rate=rate, seconds=seconds)
    spent = server.cpu() - before
    took, refused = seen.answered, seen.refused
    return (
        name,
        f"{rate:.0f}",
        f"{percentile(seen.behind, 99) * MILLI:.1f}",
        f"{len(took) / seconds:.0f}",
        *(f"{percentile(took, part) * MILLI:.1f}" for part in (50, 99)),
        f"{len(refused) / seconds:.0f}",
        *(f"{percentile(refused, part) * MILLI:.1f}" if refused else "" for part in (50, 99)),
        str(seen.lost),
        str(seen.connections),
        f"{spent / max(1, len(took) + len(refused)) * MILLI:.3f}",
    )
