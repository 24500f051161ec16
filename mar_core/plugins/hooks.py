"""The loaded plugins: each hook that is called one by one is a typed method."""

from __future__ import annotations

import inspect
import logging
import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from mar_core.errors import ArchiveError, MarError, PluginError, UsageError
from mar_core.plugins.entry_points import in_words
from mar_core.plugins.offers import (
    Offers,
    engine_fault,
    importer_fault,
    reader_fault,
    writer_fault,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pluggy
    import typer

    from mar_core.build.request import ArchiveRequest, Imported
    from mar_core.findings import Finding
    from mar_core.format import Archive
    from mar_core.format.manifest import Manifest
    from mar_core.plugins.entry_points import EntryInfo
    from mar_core.plugins.manager import HookManager
    from mar_core.records import EngineOption, Reader, RunSummary, Writer
    from mar_core.ts.metrics import Metric
    from mar_core.weights.weights_format import WeightsFormat

__all__ = ["EngineOffer", "PluginFailure", "Plugins"]

logger = logging.getLogger(__name__)

_LONGEST_PATH = 200


class EngineOffer(NamedTuple):
    """An engine that a plugin offers.

    Attributes:
        plugin: The plugin.
        factory: Makes the engine.
        options: What it adds to the options of ``mar run``.
    """

    plugin: str
    factory: Callable[[], Any]
    options: tuple[EngineOption, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFailure:
    """A plugin that was left out, and why.

    Attributes:
        entry: The plugin.
        state: ``broken`` or ``clash``.
        reason: What is wrong and what to do, on one line.
    """

    entry: EntryInfo
    state: str
    reason: str


@dataclass(slots=True, eq=False)
class Plugins:
    """The loaded plugins.

    Attributes:
        manager: The pluggy manager; treat it as frozen.
        loaded: The entries that were registered.
        blocked: The entries that the user switched off.
        failures: What was left out.
        strict: Whether what a plugin does wrong in a hook stops mar; else it is warned of.
        observer_failures: How often each plugin has raised while it looked on.
    """

    manager: HookManager
    loaded: list[EntryInfo] = field(default_factory=list)
    blocked: list[EntryInfo] = field(default_factory=list)
    failures: list[PluginFailure] = field(default_factory=list)
    strict: bool = False
    observer_failures: Counter[str] = field(default_factory=Counter)

    # --- first result -------------------------------------------------------------------------

    def import_source(self, source: Path, request: ArchiveRequest, folder: Path) -> Imported | None:
        """``mar_import``: what the first plugin that knows a source makes of it.

        Args:
            source: The file or folder.
            request: What the user asked for.
            folder: Where files may be generated.

        Raises:
            ArchiveError: A plugin raised; one of mar's errors is raised as it is.
            UsageError: A file cannot be read, or what names it is no file name.
        """
        hook = self.manager.hook.mar_import
        try:
            found: Imported | None = hook(source=source, request=request, folder=folder)
        except MarError:
            raise
        except OSError as error:
            path = str(error.filename or source)[:_LONGEST_PATH]
            raise UsageError(
                f"{source} cannot be imported: {error.strerror or error}: {path}"
            ) from error
        except Exception as error:
            plugin = _raised_by(hook.get_hookimpls(), error)
            raise ArchiveError(
                f"The plugin {plugin} failed to look at {source}: {in_words(error)}.",
                hint=f"Leave it out with MAR_DISABLED_PLUGINS={plugin}.",
            ) from error
        return found

    # --- each on its own: all results count ----------------------------------------------------

    def collect_files(self, request: ArchiveRequest) -> Iterator[tuple[str, Any]]:
        """``mar_collect_files``: what plugins add to an archive.

        Args:
            request: What the user asked for.

        Yields:
            A plugin's name, and what it returned or the exception that it raised.
        """
        return self._each(self.manager.hook.mar_collect_files, request=request)

    def validate_archive(
        self, archive: Archive, findings: Sequence[Finding]
    ) -> Iterator[tuple[str, Any]]:
        """``mar_validate_archive``: what plugins find in an archive.

        Args:
            archive: The archive, open.
            findings: What is known of it; may grow while it is asked for.

        Yields:
            A plugin's name, and what it returned or the exception that it raised.
        """
        return self._each(
            self.manager.hook.mar_validate_archive, archive=archive, findings=findings
        )

    def explain_config(self, path: Path) -> Iterator[tuple[str, Any]]:
        """``mar_explain_config``: what plugins say of another server's configuration.

        Args:
            path: The file.

        Yields:
            A plugin's name, and what it returned or the exception that it raised.
        """
        return self._each(self.manager.hook.mar_explain_config, path=path)

    def server_extensions(self, server: Any, check: Callable[[Any], str | None]) -> list[Any]:
        """``mar_extend_server``: what plugins add to a server.

        Args:
            server: The server.
            check: Says what is wrong with what a plugin returns, or None.
        """
        found, hook = [], self.manager.hook.mar_extend_server
        for plugin, result in self._each(hook, server=server):
            if result is None:
                continue
            fault = result if isinstance(result, Exception) else check(result)
            if fault is None:
                found.append(result)
            else:
                said = f"it offers {fault}" if isinstance(fault, str) else fault
                self._complain(plugin, hook, said)
        return found

    # --- observing: results are ignored, failures are told once a plugin -----------------------

    def archive_written(self, path: Path, manifest: Manifest) -> None:
        """``mar_archive_written``."""
        self._observe(self.manager.hook.mar_archive_written, path=path, manifest=manifest)

    def run_started(self, summary: RunSummary) -> None:
        """``mar_run_started``."""
        self._observe(self.manager.hook.mar_run_started, summary=summary)

    def stage_finished(
        self, *, model: str, stage: str, seconds: float, size: int, error: BaseException | None
    ) -> None:
        """``mar_stage_finished``."""
        self._observe(
            self.manager.hook.mar_stage_finished,
            model=model,
            stage=stage,
            seconds=seconds,
            size=size,
            error=error,
        )

    def metric_recorded(self, model: str, metric: Metric) -> None:
        """``mar_metric_recorded``."""
        self._observe(self.manager.hook.mar_metric_recorded, model=model, metric=metric)

    def run_finished(self, summary: RunSummary) -> None:
        """``mar_run_finished``."""
        self._observe(self.manager.hook.mar_run_finished, summary=summary)
        self.tell_failures()

    def tell_failures(self) -> None:
        """Say how often observers have failed again since they were warned of."""
        for plugin, count in self.observer_failures.items():
            if count > 1:
                times = "once more" if count == 2 else f"{count - 1:,} more times"  # noqa: PLR2004
                logger.warning("The plugin %s failed %s.", plugin, times)
        self.observer_failures.clear()

    # --- registering: what is offered is checked at once ---------------------------------------

    def register_commands(self, app: typer.Typer) -> Iterator[str]:
        """``mar_register_commands``: let each plugin add its commands.

        Args:
            app: The application; take out what a plugin has added before going on to the next.

        Yields:
            The plugin's name, after each call.
        """
        hook = self.manager.hook.mar_register_commands
        for name, result in self._each(hook, app=app):
            if isinstance(result, Exception):
                self._complain(name, hook, result)
            yield name

    def engines(self) -> dict[str, list[EngineOffer]]:
        """``mar_register_engines``: for each engine's name, who offers it and what makes it."""
        offers: dict[str, list[EngineOffer]] = {}
        found = self._offers(self.manager.hook.mar_register_engines, engine_fault)
        for plugin, (engine, factory, *options) in found:
            offer = EngineOffer(plugin, factory, tuple(options))
            offers.setdefault(engine, []).append(offer)
        return offers

    def importers(self) -> list[tuple[str, str]]:
        """``mar_register_importers``: what is looked for in a source, each with who looks."""
        offers = self._offers(self.manager.hook.mar_register_importers, importer_fault)
        return [(plugin, what) for plugin, (what,) in offers]

    def readers(self) -> list[Reader]:
        """``mar_register_readers``: the readers in the order in which they are asked."""
        by_plugin: dict[str, list[Reader]] = {}
        for plugin, (reader,) in self._offers(self.manager.hook.mar_register_readers, reader_fault):
            by_plugin.setdefault(plugin, []).insert(0, reader)
        return [reader for readers in by_plugin.values() for reader in readers]

    def writers(self) -> Iterator[tuple[str, Writer]]:
        """``mar_register_writers``: the writers, each with the plugin that offers it."""
        for plugin, (writer,) in self._offers(self.manager.hook.mar_register_writers, writer_fault):
            yield plugin, writer

    def weights_formats(
        self, check: Callable[[Any], str | None]
    ) -> list[tuple[str, WeightsFormat]]:
        """``mar_register_weights_formats``: the formats, each with who offers it.

        Args:
            check: Says what is wrong with what a plugin registers, or None.
        """
        offers = self._offers(self.manager.hook.mar_register_weights_formats, check)
        return [(plugin, row) for plugin, (row,) in offers]

    # --- how --------------------------------------------------------------------------------------

    def _each(self, hook: pluggy.HookCaller, **arguments: Any) -> Iterator[tuple[str, Any]]:
        """Call one hook's implementations one by one, the last registered first.

        Args:
            hook: The hook, one of ``EACH_HOOKS``.
            **arguments: All of the hook's arguments.

        Yields:
            The plugin's name, and its result or the exception that it raised.
        """
        for implementation in reversed(hook.get_hookimpls()):
            yield implementation.plugin_name, _result_of(implementation, arguments)

    def _observe(self, hook: pluggy.HookCaller, **arguments: Any) -> None:
        # Every stage of every batch comes here: no generator, and one warning a plugin.
        for implementation in reversed(hook.get_hookimpls()):
            result = _result_of(implementation, arguments)
            if isinstance(result, Exception):
                plugin = implementation.plugin_name
                if not self.observer_failures[plugin]:
                    self._complain(plugin, hook, result)
                self.observer_failures[plugin] += 1

    def _offers(
        self, hook: pluggy.HookCaller, check: Callable[..., str | None]
    ) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Let each plugin register what it offers; what is wrong is left out with a warning.

        Args:
            hook: The hook, whose argument is ``register``.
            check: Takes what ``register`` is given; says what is wrong with it, or None.

        Yields:
            The plugin's name, and what it gave ``register``.
        """
        offers = Offers(check)
        for plugin, result in self._each(hook, register=offers.register):
            if isinstance(result, Exception):
                self._complain(plugin, hook, result)
            pending, offers.pending = offers.pending, []
            for offer, fault in pending:
                if fault is None:
                    yield plugin, offer
                else:
                    self._complain(plugin, hook, f"it offers {fault}")

    def _complain(self, plugin: str, hook: pluggy.HookCaller, fault: Exception | str) -> None:
        """Warn of what a plugin did wrong; where plugins are strict, stop.

        Raises:
            PluginError: ``strict`` is set.
        """
        words = in_words(fault) if isinstance(fault, Exception) else fault
        message = f"The plugin {plugin} failed in {hook.name}: {words}."
        if self.strict:
            raise PluginError(message)
        logger.warning("%s", message)

    def register(self, plugin: object, name: str) -> None:
        """Add a plugin object, all of it or nothing.

        Args:
            plugin: A module, or an object with ``@hookimpl`` methods.
            name: What to call it in messages.

        Raises:
            PluginError: A hook of it is misspelt, has a wrong argument, or is a wrapper where none
                can be.
        """
        self.manager.add(plugin, name)

    def unregister(self, name: str) -> None:
        """Take a plugin out again."""
        self.manager.unregister(name=name)


def _raised_by(implementations: Sequence[pluggy.HookImpl], error: BaseException) -> str:
    """The plugin whose function an error came out of."""
    codes = {id(frame.f_code) for frame, _ in traceback.walk_tb(error.__traceback__)}
    for implementation in implementations:
        if id(getattr(implementation.function, "__code__", None)) in codes:
            return implementation.plugin_name
    return "that was asked"


def _result_of(implementation: pluggy.HookImpl, arguments: dict[str, Any]) -> Any:
    """What a plugin's function returns, a generator's items as a list, or the exception."""
    wanted = {name: arguments[name] for name in implementation.argnames}
    try:
        result = implementation.function(**wanted)
        return list(result) if inspect.isgenerator(result) else result
    except SystemExit as error:
        return PluginError(f"it called sys.exit({error})")
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises is data here
        return error
