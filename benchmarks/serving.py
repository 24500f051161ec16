"""``mar serve`` against TorchServe, LitServe and mosec, with bare ASGI as the limit.

One model and one worker each, the same cores, the same clients, in turns; answers are compared
first. What a server and its workers use of the CPU is measured beside what clients see.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torchserve_server
from harness import HERE, python, table
from served_models import make, same
from server_load import Measured, load
from servers import PACKAGES, SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness import Settings
    from served_models import Served
    from servers import Running

MILLI = 1000
# Not all servers drop the requests of clients that have gone: nobody's turn begins before they are
# done with them, and use less than this share of a core.
SETTLING, PAUSE, IDLE = 60, 0.3, 0.15
# By kind: what may wait for a batch, in milliseconds, as one would set it for that model.
DELAYS = {"noop": 2, "mnist": 5, "resnet18": 20}
# The CPU seconds of the model alone: reading, the network and the answer, without a server.
ALONE = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from served_models import encoded, function_for
run, size = function_for(sys.argv[2], sys.argv[3]), int(sys.argv[5])
bodies = [Path(sys.argv[4]).read_bytes()] * size
run(bodies)
count, start = 0, time.process_time()
while time.process_time() - start < float(sys.argv[6]):
    for answer in run(bodies):
        encoded(answer)
    count += size
print((time.process_time() - start) / count)
"""


@dataclass(kw_only=True)
class Turns:
    """What one server did in its turns.

    Attributes:
        seen: What clients saw.
        cpu: CPU seconds for each answer.
    """

    seen: list[Measured] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def tables(settings: Settings) -> Iterator[str]:
    """A table for each model and size of batch."""
    if not PACKAGES.exists():
        yield "LitServe and mosec are put there by `make env`; they are not measured here.\n"
    if not shutil.which("wrk"):
        yield "Without wrk the clients are in Python, and slower than some of the servers.\n"
    kinds = settings.pick(
        quick=("noop",), normal=("noop", "mnist", "resnet18"), full=("noop", "mnist", "resnet18")
    )
    for kind in kinds:
        for size in settings.pick(quick=(2,), normal=(1, 32), full=(1, 32)):
            served = make(kind, settings.folder, size=size, delay=DELAYS[kind])
            yield measured(settings, served)


def measured(settings: Settings, served: Served) -> str:
    """Measure every server with one model."""
    numbers = settings.pick(quick=(4,), normal=(1, 16, 64, 256), full=(1, 16, 64, 256))
    if settings.scale == "normal" and served.kind != "noop":
        # More of them only wait longer for a model that is busy, and make the benchmark long.
        numbers = (16, 64) if served.kind == "mnist" else (1, 16)
    with contextlib.ExitStack() as stack:
        servers = {
            name: stack.enter_context(start(served)) for name, start in _there(served).items()
        }
        compare(servers)
        found = {(name, clients): Turns() for clients in numbers for name in servers}
        seconds = settings.pick(quick=1, normal=2, full=10)
        for clients in numbers:
            for server in servers.values():
                load(server, clients=clients, seconds=settings.pick(quick=1, normal=1, full=3))
                settle(server)
            for _ in range(settings.rounds if settings.scale != "normal" else 3):
                for name, server in servers.items():
                    take_turn(found[name, clients], server, clients, seconds)
    alone = settings.pick(quick=0.1, normal=2.0, full=5.0)
    rows = [_row(name, clients, turns, found) for (name, clients), turns in found.items()]
    head = ("", "clients", "answers/s", "min", "max", "× TorchServe", "p50 ms", "p99 ms", "CPU ms")
    title = f"{served.kind}, batches of up to {served.size}"
    if served.kind != "noop":
        title += (
            f"; the model alone takes {model_alone(served, alone) * MILLI:.2f} ms CPU a request"
        )
    return table(title, head, rows)


def take_turn(turns: Turns, server: Running, clients: int, seconds: float) -> None:
    """Measure a server once."""
    before = server.cpu()
    seen = load(server, clients=clients, seconds=seconds)
    answers = max(1.0, seen.rate * seconds)
    turns.seen.append(seen)
    turns.cpu.append((server.cpu() - before) / answers)
    settle(server)


def settle(server: Running) -> None:
    """Wait until a server has nothing left to do for clients that have gone."""
    end = time.monotonic() + SETTLING
    before = server.cpu()
    while time.monotonic() < end:
        time.sleep(PAUSE)
        now = server.cpu()
        if now - before < PAUSE * IDLE:
            return
        before = now


def compare(servers: Mapping[str, Running]) -> None:
    """Stop where two servers do not say the same."""
    answers = {name: server.ask() for name, server in servers.items()}
    expected = answers["mar serve"]
    for name, answer in answers.items():
        assert same(answer, expected), f"{name} answers {answer!r}, mar serve {expected!r}"


def model_alone(served: Served, seconds: float) -> float:
    """CPU seconds of a request's reading, network and answer, without any server."""
    words = python(ALONE, HERE, served.kind, served.weights, served.body, str(served.size))
    done = subprocess.run(
        [*map(str, words), str(seconds)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _there(served: Served) -> dict[str, object]:
    """The servers that can be started here with this model."""
    missing = set() if torchserve_server.is_here() else {"TorchServe"}
    if not PACKAGES.exists():
        missing |= {"LitServe", "mosec"}
    if served.kind != "noop" or served.size > 1:
        missing |= {"bare ASGI"}
    return {name: start for name, start in SERVERS.items() if name not in missing}


def _row(
    name: str, clients: int, turns: Turns, found: Mapping[tuple[str, int], Turns]
) -> Sequence[str]:
    rates = [seen.rate for seen in turns.seen]
    rate = statistics.median(rates)
    theirs = found.get(("TorchServe", clients))
    ratio = rate / statistics.median(s.rate for s in theirs.seen) if theirs else 0.0
    failed = sum(seen.failed for seen in turns.seen)
    return (
        f"{name} ({failed} failed)" if failed else name,
        str(clients),
        *(f"{value:.1f}" for value in (rate, min(rates), max(rates))),
        f"{ratio:.2f}" if theirs else "-",
        f"{statistics.median(seen.p50 for seen in turns.seen) * MILLI:.2f}",
        f"{statistics.median(seen.p99 for seen in turns.seen) * MILLI:.2f}",
        f"{statistics.median(turns.cpu) * MILLI:.3f}",
    )
