"""The engine of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.run.profile import profiled
from mar_core.runtime.batching import Batcher, outcomes_in_order
from mar_core.runtime.pipeline import in_turn, overlapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mar_core.cache.files import ModelFiles
    from mar_core.records import Input, Outcome, RunOptions, RunSummary
    from mar_core.runtime.batching import NumberedBatch
    from mar_core.runtime.recipe import Recipe

__all__ = ["CAUGHT", "LocalEngine"]

# A handler may raise these, too; the user's own Ctrl-C raises nothing while a run goes on.
CAUGHT = (Exception, SystemExit, KeyboardInterrupt)


def _unchanged(files: ModelFiles, batches: Iterable[NumberedBatch]) -> Iterator[NumberedBatch]:
    """The same batches, each once it is known that the model is what it was.

    Raises:
        ArchiveError: It is mapped from an archive that somebody has written to.
    """
    for batch in batches:
        files.check_views()
        yield batch


class LocalEngine:
    """Runs an archive in worker processes of this machine.

    In this process it runs for debuggers alone (no workers), and for PyTorch's profiler.
    """

    def run(
        self, recipe: Recipe, inputs: Iterable[Input], options: RunOptions, summary: RunSummary
    ) -> Iterator[Outcome]:
        """One outcome for each input, in order unless ``options.unordered``."""
        if options.workers == 0:
            groups = self._here(recipe, inputs, options, summary)
        else:
            groups = self._in_workers(recipe, inputs, options, summary)
        if options.unordered:
            return (outcome for group in groups for outcome in group)
        return outcomes_in_order(groups)

    def _here(
        self, recipe: Recipe, inputs: Iterable[Input], options: RunOptions, summary: RunSummary
    ) -> Iterator[list[Outcome]]:
        with recipe.load() as predictor:
            independent = predictor.loaded.independent
            runner = predictor.runner(
                explain=options.explain, independent=independent, caught=CAUGHT
            )
            batcher = Batcher(
                size=options.batch_size or predictor.batch_size,
                by_length=predictor.loaded.by_length,
            )
            run = overlapped if independent and options.profile is None else in_turn
            files = predictor.prepared.files
            ran = run(runner, _unchanged(files, batcher.batches(inputs)))
            if options.profile is not None:
                ran = profiled(ran, predictor, options.profile)
            for outcomes, seconds in ran:
                summary.batches += 1
                summary.stage_seconds = dict(predictor.life.seconds)
                batcher.report(len(outcomes), seconds, out_of_memory=runner.out_of_memory_at)
                yield outcomes

    def _in_workers(
        self, recipe: Recipe, inputs: Iterable[Input], options: RunOptions, summary: RunSummary
    ) -> Iterator[list[Outcome]]:
        from mar_core.runtime.pool import WorkerPool

        with WorkerPool(recipe, options, count=options.workers, summary=summary) as pool:
            yield from pool.run(inputs)
