"""The engine of this machine, as the plugin ``mar-engine``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.hookspecs import hookimpl
from mar_core.run.batching import fixed_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mar_core.predictor import Recipe
    from mar_core.run.types import EngineFactory, Input, Outcome, RunOptions, RunSummary

__all__ = ["LocalEngine", "mar_register_engines"]


@hookimpl
def mar_register_engines(register: Callable[[str, EngineFactory], None]) -> None:
    """Offer the engine ``local``."""
    register("local", LocalEngine)


class LocalEngine:
    """Runs an archive in this process, or in worker processes of this machine."""

    def run(
        self, recipe: Recipe, inputs: Iterable[Input], options: RunOptions, summary: RunSummary
    ) -> Iterator[Outcome]:
        """One outcome for each input, in order unless ``options.unordered``."""
        with recipe.load() as predictor:
            runner = predictor.runner(explain=options.explain)
            for batch in fixed_batches(inputs, predictor.batch_size):
                yield from runner.run(batch)
                summary.batches += 1
            summary.stage_seconds.update(predictor.life.seconds)
