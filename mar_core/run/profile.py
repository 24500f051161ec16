"""``mar run --profile``: what PyTorch did while batches ran."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any

from mar_core.hookspecs import hookimpl
from mar_core.runtime.targets import writing

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

    from mar_core.runtime.pipeline import Ran
    from mar_core.runtime.predictor import Predictor

__all__ = ["profiled"]

# A trace of more is larger than viewers like, and says nothing new.
BATCHES = 50
ROWS = 30


def profiled(ran: Iterable[Ran], predictor: Predictor, folder: Path) -> Iterator[Ran]:
    """The same batches, the first of them under PyTorch's profiler.

    Writes ``MODEL.trace.json`` for a viewer, such as Chrome's ``about:tracing``, and ``MODEL.txt``,
    a table of the slowest operators.

    Args:
        ran: Runs a batch whenever it is asked for the next, on the thread that asks.
        predictor: Whose batches they are.
        folder: Where the files go.

    Raises:
        OutputError: The files cannot be written.
    """
    from torch.profiler import profile

    predictor.life.take_part(_StageNames(), "mar-profile")
    batches = iter(ran)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with profile() as profiler:
        yield from itertools.islice(batches, BATCHES)
    _save(profiler, folder, predictor.name)
    yield from batches


class _StageNames:
    """Names the stages in the trace."""

    @hookimpl(wrapper=True)
    def mar_preprocess(self) -> Generator[None, Any, Any]:
        return (yield from _named("preprocess"))

    @hookimpl(wrapper=True)
    def mar_inference(self) -> Generator[None, Any, Any]:
        return (yield from _named("inference"))

    @hookimpl(wrapper=True)
    def mar_postprocess(self) -> Generator[None, Any, Any]:
        return (yield from _named("postprocess"))

    @hookimpl(wrapper=True)
    def mar_explain(self) -> Generator[None, Any, Any]:
        return (yield from _named("explain"))


def _named(stage: str) -> Generator[None, Any, Any]:
    from torch.profiler import record_function

    with record_function(stage):
        return (yield)


def _save(profiler: Any, folder: Path, name: str) -> None:
    trace, table = folder / f"{name}.trace.json", folder / f"{name}.txt"
    with writing(folder):
        profiler.export_chrome_trace(str(trace))
        averages = profiler.key_averages()
        key = "self_cpu_time_total"
        table.write_text(averages.table(sort_by=key, row_limit=ROWS), encoding="utf-8")
    print(f"mar: profiled; see {table} and {trace}", file=sys.stderr)
