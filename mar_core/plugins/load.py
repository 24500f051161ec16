"""Loading the installed plugins, one by one, each on its own ``try``."""

from __future__ import annotations

import functools
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any

from mar_core.errors import MarWarning, PluginError
from mar_core.plugins.entry_points import (
    PLUGIN_GROUP,
    EntryInfo,
    clash_hint,
    find_entries,
    join,
    rivals,
    unreadable_distributions,
)
from mar_core.plugins.hooks import PluginFailure, Plugins
from mar_core.plugins.manager import new_manager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "DISABLED_VARIABLE",
    "STRICT_VARIABLE",
    "PluginWarning",
    "disabled_names",
    "get_plugins",
    "is_disabled",
    "load_plugins",
    "needs_loading",
    "register_entry",
    "server_extensions",
]

DISABLED_VARIABLE = "MAR_DISABLED_PLUGINS"
STRICT_VARIABLE = "MAR_STRICT_PLUGINS"
EVERY_OTHER = "*"

_lock = threading.Lock()


class PluginWarning(MarWarning):
    """An installed plugin was left out."""


def load_plugins(
    *,
    disabled: Iterable[str] = (),
    strict: bool = False,
    wanted: Callable[[EntryInfo], bool] = lambda _: True,
) -> Plugins:
    """Import and register the plugins that are installed.

    Args:
        disabled: Names of plugins that must not even be imported; ``*`` stands for every plugin
            that does not come with mar itself.
        wanted: Whether a plugin is to be loaded; by default each is.
        strict: Raise at the first plugin that fails, for the tests of plugin authors.

    Raises:
        PluginError: ``strict`` is set and a plugin failed.
    """
    plugins = Plugins(new_manager(), strict=strict)
    blocked = set(disabled)
    entries = find_entries(PLUGIN_GROUP)
    # Ours first: pluggy asks the last registered first, so that others come before us.
    for entry in sorted(entries, key=lambda entry: (not entry.is_ours, entry.name)):
        if is_disabled(entry, blocked):
            plugins.blocked.append(entry)
            continue
        if not wanted(entry):
            continue
        try:
            if not entry.is_ours:  # which has no rivals
                _check_alone(entry, entries)
            register_entry(plugins, entry)
        except PluginError as error:
            if strict:
                raise
            state = "clash" if isinstance(error, _ClashError) else "broken"
            plugins.failures.append(PluginFailure(entry=entry, state=state, reason=str(error)))
        else:
            plugins.loaded.append(entry)
    return plugins


def get_plugins() -> Plugins:
    """The plugins of this process, loaded at the first call.

    ``MAR_DISABLED_PLUGINS`` and ``MAR_STRICT_PLUGINS`` are honoured; each plugin that was left out
    is warned of in one line.
    """
    with _lock:
        return _load_once()


def needs_loading() -> bool:
    """Whether ``get_plugins`` has more to say than what comes with mar; nothing is imported."""
    if _load_once.cache_info().currsize:
        return True
    disabled = disabled_names()
    entries = find_entries(PLUGIN_GROUP)
    return any(not entry.is_ours and not is_disabled(entry, disabled) for entry in entries)


def server_extensions(server: Any, check: Callable[[Any], str | None]) -> list[Any]:
    """What the installed plugins add to a server, by the hook ``mar_extend_server``.

    Args:
        server: The server.
        check: Says what is wrong with what a plugin returns, or None; that is left out with a
            warning.
    """
    return get_plugins().server_extensions(server, check)


def disabled_names() -> set[str]:
    """The plugins that ``MAR_DISABLED_PLUGINS`` switches off."""
    names = os.environ.get(DISABLED_VARIABLE, "").split(",")
    return {name.strip() for name in names} - {""}


def is_disabled(entry: EntryInfo, names: set[str]) -> bool:
    """Whether one of these names switches a plugin off."""
    return entry.name in names or (EVERY_OTHER in names and not entry.is_ours)


def register_entry(plugins: Plugins, entry: EntryInfo) -> None:
    """Import one entry and register it under its name.

    Raises:
        PluginError: It cannot be imported, or is not what a plugin must be.
    """
    plugins.manager.add(entry.load(), entry.name, called=entry)


class _ClashError(PluginError):
    """Two distributions offer one name."""


def _check_alone(entry: EntryInfo, entries: list[EntryInfo]) -> None:
    same = rivals(entry, entries)
    if len(same) > 1:
        raise _ClashError(
            f"The plugin name {entry.name!r} is offered by {join(same)}.",
            hint=clash_hint(same),
        )


@functools.cache
def _load_once() -> Plugins:
    strict = os.environ.get(STRICT_VARIABLE, "0") not in {"", "0"}
    plugins = load_plugins(disabled=disabled_names(), strict=strict)
    for reason in dict.fromkeys(failure.reason for failure in plugins.failures):
        warnings.warn(reason, PluginWarning, stacklevel=3)
    for _, reason in unreadable_distributions():
        warnings.warn(reason, PluginWarning, stacklevel=3)
    return plugins
