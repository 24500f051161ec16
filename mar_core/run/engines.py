"""The plugin ``mar-engine``: the engine of this machine, and the formats of its results."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from mar_core.errors import PluginError, UsageError
from mar_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mar_core.plugins import Plugins
    from mar_core.records import Input, Outcome, RunOptions, RunSummary, Writer
    from mar_core.runtime.recipe import Recipe

__all__ = ["Engine", "EngineFactory", "find_engine", "mar_register_engines", "mar_register_writers"]


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
    register("local", _local)


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


def _local() -> Engine:
    """Imported when it is wanted: every command that calls a hook loads this plugin."""
    from mar_core.run.local import LocalEngine

    return LocalEngine()


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
