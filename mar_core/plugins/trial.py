"""Imports handlers and plugins, tries what can be tried without a model, and says how it went.

Run by ``mar plugins --check`` as ``python -P -m mar_core.plugins.trial ENTRIES``, JSON of a kind, a
name and a distribution for each. It answers with a line of JSON for each, at once: what an import
breaks, it breaks here, and whoever reads knows at which one.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import time
from typing import Any

from mar_core.errors import PluginError
from mar_core.plugins.entry_points import (
    HANDLER_GROUP,
    PLUGIN_GROUP,
    EntryInfo,
    find_entries,
    in_words,
)
from mar_core.plugins.hooks import EngineOffer, Plugins
from mar_core.plugins.load import register_entry
from mar_core.plugins.manager import new_manager

__all__ = ["try_entry"]


def try_entry(entry: EntryInfo) -> dict[str, Any]:
    """Import an entry and try it.

    Returns:
        ``state``, ``reason``, ``provides`` and ``seconds`` of an ``EntryStatus``.
    """
    started = time.perf_counter()
    provides: list[str] = []
    state, reason = "loaded", ""
    seconds = None
    try:
        target = entry.load()
        seconds = round(time.perf_counter() - started, 3)
        provides = _try_handler(entry, target) if entry.kind == "handler" else _try_plugin(entry)
    except PluginError as error:
        state, reason = "broken", str(error)
    return {"state": state, "reason": reason, "provides": provides, "seconds": seconds}


def _try_handler(entry: EntryInfo, target: Any) -> list[str]:
    """A handler is a function of two arguments, or a class that makes an object with ``handle``."""
    if inspect.isfunction(target):
        if len(inspect.signature(target).parameters) < 2:  # noqa: PLR2004 - data and context
            raise PluginError(f"The handler {entry} must take data and context.")
        return ["function"]
    if not inspect.isclass(target):
        raise PluginError(f"The handler {entry} is neither a class nor a function.")
    try:
        instance = target()
    except (Exception, SystemExit) as error:
        raise PluginError(f"The handler {entry} cannot be made: {in_words(error)}.") from error
    if not callable(getattr(instance, "handle", None)):
        raise PluginError(
            f"The handler {entry} has no method handle(data, context).",
            hint="Derive it from mar_core.BaseHandler.",
        )
    return ["class"]


def _try_plugin(entry: EntryInfo) -> list[str]:
    """Register a plugin on a manager of its own and call the hooks that only register."""
    from mar_core.plugins.commands import new_app, take_commands

    plugins = Plugins(new_manager(), strict=True)
    register_entry(plugins, entry)
    offers = [_engine(name, found[0]) for name, found in plugins.engines().items()]
    offers += [f"reader {getattr(r, 'name', type(r).__name__)}" for r in plugins.readers()]
    app = new_app()
    for _ in plugins.register_commands(app):
        offers += [f"command {name}" for name in take_commands(app)]
    plugin = plugins.manager.get_plugin(entry.name)
    hooks = sorted(caller.name for caller in plugins.manager.get_hookcallers(plugin) or ())
    return [*hooks, *offers]


def _engine(name: str, offer: EngineOffer) -> str:
    options = " ".join(option.name for option in offer.options)
    return f"engine {name} ({options})" if options else f"engine {name}"


def _main(wanted: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a plugin prints, also from C, is no answer
    installed = {
        (entry.kind, entry.name, entry.distribution): entry
        for group in (HANDLER_GROUP, PLUGIN_GROUP)
        for entry in find_entries(group)
    }
    for one in json.loads(wanted):
        answers.write(json.dumps(try_entry(installed[tuple(one)])) + "\n")
        answers.flush()
    os._exit(0)  # threads that an import started must not keep us


if __name__ == "__main__":
    _main(*sys.argv[1:])
