"""A whole run: inputs in, an engine, results out, and what it came to."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from mar_core.plugins import get_plugins
from mar_core.run.engines import find_engine
from mar_core.run.inputs import collect_readers, expand
from mar_core.run.summary import count
from mar_core.run.types import ReadOptions, RunOptions, RunSummary
from mar_core.run.writers import open_writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mar_core.plugins import Plugins
    from mar_core.predictor import Recipe
    from mar_core.run.types import Input

__all__ = ["Job", "execute"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What ``mar run`` was asked to do.

    Attributes:
        recipe: How to load the archive.
        sources: The inputs as the user named them.
        reading: How to read them.
        running: How to run them.
        engine: The engine's name.
        output: Where results go; None is standard output.
        output_dir: Where bytes, tensors and pictures go.
        resume: Go on with what ``output`` holds.
        details: Write down what the handler said about its answers, too.
        limit: Run this many inputs at most.
    """

    recipe: Recipe
    sources: tuple[str, ...]
    reading: ReadOptions = field(default_factory=ReadOptions)
    running: RunOptions = field(default_factory=RunOptions)
    engine: str = "local"
    output: Path | None = None
    output_dir: Path | None = None
    resume: bool = False
    details: bool = False
    limit: int | None = None


def execute(job: Job, *, stream: TextIO) -> RunSummary:
    """Do it.

    Args:
        job: What to do.
        stream: Standard output.

    Returns:
        What it came to.
    """
    plugins = get_plugins()
    engine = find_engine(job.engine, plugins)
    with job.recipe.open() as archive:
        summary = RunSummary(model=archive.manifest.model_name or "model")
        digest = archive.manifest.digest
    start = time.monotonic()
    with open_writer(
        job.output,
        resume=job.resume,
        digest=digest,
        output_dir=job.output_dir,
        details=job.details,
        stream=stream,
    ) as writer:
        inputs = (source for source in _inputs(job, plugins) if source.id not in writer.done)
        for outcome in engine.run(job.recipe, inputs, job.running, summary):
            (written,) = writer.write([outcome])
            count(summary, written)
            summary.seconds = time.monotonic() - start
            if written.failure is not None and job.running.fail_fast:
                break
    plugins.notify("mar_run_finished", summary=summary)
    return summary


def _inputs(job: Job, plugins: Plugins) -> Iterator[Input]:
    return expand(job.sources, job.reading, collect_readers(plugins))
