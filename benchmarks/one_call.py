"""``Predictor.predict`` around a handler that does nothing against the handler's bare methods."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness import python, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness import Settings

HANDLER = """
from mar_core import BaseHandler


class Nothing(BaseHandler):
    def initialize(self, context):
        self.initialized = True

    def preprocess(self, data):
        return data

    def inference(self, data):
        return data

    def postprocess(self, data):
        return data
"""


def tables(settings: Settings) -> Iterator[str]:
    """One table, measured in processes of their own, with the installed plugins and without."""
    calls = settings.pick(quick=50, normal=2000, full=5000)
    words = python(Path(__file__), str(calls), str(settings.rounds))
    alone = {**os.environ, "MAR_DISABLED_PLUGINS": "*"}
    seconds = measured(words, alone)
    seconds["predict, with the installed plugins"] = measured(words, dict(os.environ))["predict"]
    bare = statistics.median(seconds["bare methods"])
    rows = []
    for name, found in seconds.items():
        middle, low, high = statistics.median(found), min(found), max(found)
        figures = (middle, low, high, middle - bare)
        rows.append((name, *(f"{value * 1e6:.1f}" for value in figures)))
    head = ("", "µs a call", "min", "max", "over bare")
    yield table(f"One call of a handler that does nothing, {calls:,} calls a round", head, rows)


def measured(words: list[str | Path], environment: dict[str, str]) -> dict[str, list[float]]:
    done = subprocess.run(
        words, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    return json.loads(done.stdout)


def main(calls: int, rounds: int) -> None:
    """Print the seconds of a call in each round, for both."""
    from mar_core import archive, load

    with tempfile.TemporaryDirectory() as folder:
        handler = Path(folder, "nothing.py")
        handler.write_text(HANDLER)
        made = archive("nothing", version="1.0", handler=handler, export_path=folder)
        with load(made) as model:
            row = {"data": 1}
            bare = model.loaded.instance

            def by_hand() -> list[dict[str, int]]:
                return bare.postprocess(bare.inference(bare.preprocess([row])))

            contenders: dict[str, Callable[[], object]] = {
                "bare methods": by_hand,
                "predict": lambda: model.predict([row]),
                "handle": lambda: bare.handle([row], model.context),
            }
            assert all(call() == [row] for call in contenders.values())
            seconds: dict[str, list[float]] = {name: [] for name in contenders}
            for counted in range(-1, rounds):
                for name, call in contenders.items():
                    taken = timed(call, calls)
                    if counted >= 0:
                        seconds[name].append(taken)
    print(json.dumps(seconds))


def timed(call: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
