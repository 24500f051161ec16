"""The plugin ``mar-engine``: the engine of this machine, and the formats of its results."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from mar_core.errors import PluginError, UsageError
from mar_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mar_core.cache.files import ModelFiles
    from mar_core.plugins import Plugins
    from mar_core.records import Input, Outcome, RunOptions, RunSummary, Writer
    from mar_core.runtime.feed import NumberedBatch
    from mar_core.runtime.recipe import Recipe

__all__ = [
    "CAUGHT",
    "Engine",
    "EngineFactory",
    "LocalEngine",
    "find_engine",
    "mar_register_engines",
    "mar_register_writers",
    "outcomes_in_order",
]  # fmt: skip

# What the engine needs it imports itself: every command that calls a hook loads this plugin.

# A handler may raise these, too; the user's own Ctrl-C raises nothing while a run goes on.
CAUGHT = (Exception, SystemExit, KeyboardInterrupt)


class Engine(Protocol):
    """Runs a loaded archive over inputs."""

    def run(
        self, recipe: Recipe, inputs: Iterable[Input], options: RunOptions, summary: RunSummary
    ) -> Iterator[Outcome]:
        """One outcome for each input, in order unless ``options.unordered``.

        ``summary.stage_seconds`` and ``summary.batches`` are filled in; the caller counts the rest.
        """


EngineFactory = Callable[[], Engine]


@hookimpl
def mar_register_engines(register: Callable[[str, EngineFactory], None]) -> None:
    """Offer the engine ``local``."""
    register("local", LocalEngine)


@hookimpl
def mar_register_writers(register: Callable[[Writer], None]) -> None:
    """Offer JSON lines, JSON, CSV, TSV, Parquet, and the report."""
    from mar_core.run.report.writer import ReportWriter
    from mar_core.run.writers.formats import (
        CsvWriter,
        JsonLinesWriter,
        JsonWriter,
        ParquetWriter,
        TsvWriter,
    )

    for kind in (JsonLinesWriter, JsonWriter, CsvWriter, TsvWriter, ParquetWriter, ReportWriter):
        register(kind())


def find_engine(name: str, plugins: Plugins, options: Iterable[str] = ()) -> Engine:
    """The engine that a plugin registered under that name.

    Args:
        name: The engine's name.
        plugins: Who offers engines.
        options: The names of the options of its own that it is given.

    Raises:
        UsageError: There is none, or it has no such option.
        PluginError: Two plugins register it.
    """
    offers = plugins.engines()
    if name not in offers:
        known = ", ".join(sorted(offers)) or "none"
        hint = "Engines come from plugins; `mar plugins --check` lists who offers which."
        raise UsageError(f"There is no engine {name!r}; there are: {known}.", hint=hint)
    if len(offers[name]) > 1:
        owners = " and ".join(sorted(offer.plugin for offer in offers[name]))
        raise PluginError(f"The engine {name!r} is registered by {owners}.")
    (offer,) = offers[name]
    known_options = {option.name.removeprefix("--") for option in offer.options}
    for option in options:
        if option not in known_options:
            listed = ", ".join(f"--{known}" for known in sorted(known_options)) or "none"
            raise UsageError(f"The engine {name} has no option {option!r}; it has {listed}.")
    engine: Engine = offer.factory()
    if not callable(getattr(engine, "run", None)):
        raise PluginError(
            f"The engine {name!r} of the plugin {offer.plugin} is a {type(engine).__name__}, which "
            "has no method run."
        )
    return engine


def _unchanged(files: ModelFiles, batches: Iterable[NumberedBatch]) -> Iterator[NumberedBatch]:
    """The same batches, each once it is known that the model is what it was.

    Raises:
        ArchiveError: It is mapped from an archive that somebody has written to.
    """
    for batch in batches:
        if files.is_viewed:
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
        from mar_core.runtime.feed import Batcher
        from mar_core.runtime.pipeline import in_turn, overlapped

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
                from mar_core.run.profile import profiled

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


def outcomes_in_order(groups: Iterable[Iterable[Outcome]]) -> Iterator[Outcome]:
    """Outcomes by their place in the run, each as soon as all before it have come."""
    waiting: dict[int, Outcome] = {}
    following = 0
    for group in groups:
        for outcome in group:
            waiting[outcome.index] = outcome
        while following in waiting:
            yield waiting.pop(following)
            following += 1
