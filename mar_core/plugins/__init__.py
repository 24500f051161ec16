"""Discovery of handlers and plugins: the one place that reads entry points.

Listing reads metadata and imports nothing. Loading imports plugins one by one, each on its own
``try``: what fails is kept as data, and harms nothing else.
"""

from __future__ import annotations

from mar_core.plugins.entry_points import (
    HANDLER_GROUP,
    HOST,
    PLUGIN_GROUP,
    EntryInfo,
    find_entries,
    find_handler,
    host_version,
    nearest_handlers,
    unreadable_distributions,
)
from mar_core.plugins.hooks import PluginFailure, Plugins
from mar_core.plugins.load import (
    PluginWarning,
    disabled_names,
    get_plugins,
    load_plugins,
    needs_loading,
    server_extensions,
)
from mar_core.plugins.manager import LifeCycleHooks, hook_arguments, hook_names, new_manager

__all__ = [
    "HANDLER_GROUP",
    "HOST",
    "PLUGIN_GROUP",
    "EntryInfo",
    "LifeCycleHooks",
    "PluginFailure",
    "PluginWarning",
    "Plugins",
    "disabled_names",
    "find_entries",
    "find_handler",
    "get_plugins",
    "hook_arguments",
    "hook_names",
    "host_version",
    "load_plugins",
    "nearest_handlers",
    "needs_loading",
    "new_manager",
    "server_extensions",
    "unreadable_distributions",
]
