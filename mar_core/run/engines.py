"""Finding an engine by its name; the engine of this machine, as the plugin ``mar-engine``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.errors import PluginError, UsageError
from mar_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.plugins import Plugins
    from mar_core.records import Engine, EngineFactory

__all__ = ["find_engine", "mar_register_engines"]


@hookimpl
def mar_register_engines(register: Callable[[str, EngineFactory], None]) -> None:
    """Offer the engine ``local``."""
    register("local", _local)


def _local() -> Engine:
    """Imported when it is wanted: every command that calls a hook loads this plugin."""
    from mar_core.run.local import LocalEngine

    return LocalEngine()


def find_engine(name: str, plugins: Plugins) -> Engine:
    """The engine that a plugin registered under that name.

    Raises:
        UsageError: There is none.
        PluginError: Two plugins register it.
    """
    offers: dict[str, list[tuple[str, EngineFactory]]] = {}
    pending: list[tuple[str, EngineFactory]] = []

    def register(engine: str, factory: EngineFactory) -> None:
        pending.append((engine, factory))

    for plugin in plugins.ask_each("mar_register_engines", register=register):
        for engine, factory in pending:
            offers.setdefault(engine, []).append((plugin, factory))
        pending.clear()
    if name not in offers:
        known = ", ".join(sorted(offers)) or "none"
        hint = "Install it: `pip install mar-ray`." if name == "ray" else None
        raise UsageError(f"There is no engine {name!r}; there are: {known}.", hint=hint)
    if len(offers[name]) > 1:
        owners = " and ".join(sorted(plugin for plugin, _ in offers[name]))
        raise PluginError(f"The engine {name!r} is registered by {owners}.")
    return offers[name][0][1]()
