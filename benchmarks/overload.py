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
# What may wait: refusing begins where that many do.
QUEUE = 100


def tables(settings: Settings) -> Iterator[str]:
    """One table for a handler that does nothing, and one for a network that fills the machine."""
    kinds = settings.pick(
        quick=("noop",), normal=("noop", "mnist"), full=("noop", "mnist", "resnet18")
    )
    for kind in kinds:
        served = make(kind, settings.folder, size=8, delay=DELAYS[kind], queue=QUEUE)
        with contextlib.ExitStack() as stack:
            servers = {name: stack.enter_context(SERVERS[name](served)) for name in NAMES}
            compare(servers)
            rows = [
                row
                for name, server in servers.items()
                for row in _measured(name, server, settings, kind)
            ]
        head = ("", "sent/s", "answered/s", "p50 ms", "p99 ms", "refused/s", "p99 ms", "lost")
        yield table(f"{kind}, batches of up to 8, {QUEUE} may wait", head, rows)


def _measured(
    name: str, server: Running, settings: Settings, kind: str
) -> Iterator[tuple[str, ...]]:
    seconds = settings.pick(quick=1, normal=8, full=20)
    load(server, clients=64, seconds=settings.pick(quick=1, normal=4, full=8))
    settle(server)
    full = load(server, clients=64, seconds=seconds)
    settle(server)
    yield (
        f"{name}, 64 clients", "", f"{full.rate:.0f}", f"{full.p50 * MILLI:.1f}",
        f"{full.p99 * MILLI:.1f}", "", "", str(full.failed),
    )  # fmt: skip
    # A client in Python cannot overload a server whose handler does nothing.
    for times in (0.5,) if kind == "noop" else (0.5, 4.0):
        rate = max(1.0, full.rate * times)
        seen = paced(server, rate=rate, seconds=seconds)
        settle(server)
        took, refused = seen.answered, seen.refused
        yield (
            f"{name}, {times:g} × that",
            f"{rate:.0f}",
            f"{len(took) / seconds:.0f}",
            f"{percentile(took, 50) * MILLI:.1f}",
            f"{percentile(took, 99) * MILLI:.1f}",
            f"{len(refused) / seconds:.0f}",
            f"{percentile(refused, 99) * MILLI:.1f}" if refused else "",
            str(seen.lost),
        )
