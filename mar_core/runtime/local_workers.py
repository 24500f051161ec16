"""Worker processes that stay from one call to the next, for engines that spread a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.records import RunSummary
from mar_core.runtime.pool import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mar_core.records import Input, Outcome, RunOptions
    from mar_core.runtime.recipe import Recipe

__all__ = ["LocalWorkers"]


class LocalWorkers:
    """An archive loaded in worker processes of this machine, asked as often as one likes.

    For engines that spread a run over machines: each machine answers its share with what
    ``mar run --workers`` uses, so a handler that hangs, or takes its process down, costs the same
    row everywhere. Close it at the end.

    Args:
        recipe: What to load, and how.
        options: ``batch_size``, ``timeout``, ``explain`` and ``output_dir`` count.
        count: How many processes.

    Attributes:
        summary: The batches that ran, and the seconds of their stages, added up.
    """

    def __init__(self, recipe: Recipe, options: RunOptions, *, count: int = 1) -> None:
        self.summary = RunSummary(model="")
        self._pool = WorkerPool(recipe, options, count=count, summary=self.summary)

    def run(self, inputs: Sequence[Input]) -> list[Outcome]:
        """Answer inputs.

        Returns:
            What became of each, in order; ``index`` goes on counting from call to call.

        Raises:
            MarError: The archive cannot be loaded, or its workers die again and again. There is no
                use in asking once more.
        """
        outcomes = [outcome for group in self._pool.run(inputs) for outcome in group]
        return sorted(outcomes, key=lambda outcome: outcome.index)

    def close(self) -> None:
        """Let the handlers clean up, and end the processes."""
        self._pool.close()
