"""The loaded plugins, and calling their hooks one by one."""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pluggy

from mar_core.errors import PluginError
from mar_core.plugins.entries import in_words
from mar_core.plugins.manager import check_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.plugins.entries import EntryInfo

__all__ = ["PluginFailure", "Plugins"]

logger = logging.getLogger(__name__)


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
    """

    manager: pluggy.PluginManager
    loaded: list[EntryInfo] = field(default_factory=list)
    blocked: list[EntryInfo] = field(default_factory=list)
    failures: list[PluginFailure] = field(default_factory=list)

    def call_each(self, hook: str, **arguments: Any) -> Iterator[tuple[str, Any]]:
        """Call one hook's implementations one by one, the last registered first.

        Args:
            hook: The hook's name, one of ``EACH_HOOKS``.
            **arguments: All of the hook's arguments.

        Yields:
            The plugin's name, and its result or the exception that it raised.
        """
        for implementation in reversed(getattr(self.manager.hook, hook).get_hookimpls()):
            yield implementation.plugin_name, _result_of(implementation, arguments)

    def ask_each(self, hook: str, **arguments: Any) -> Iterator[str]:
        """Call a hook's implementations one by one; one that raises is warned of.

        Args:
            hook: The hook's name, one of ``EACH_HOOKS``.
            **arguments: All of the hook's arguments.

        Yields:
            The plugin's name, after each call.
        """
        for name, result in self.call_each(hook, **arguments):
            if isinstance(result, Exception):
                _warn(name, hook, result)
            yield name

    def notify(self, hook: str, **arguments: Any) -> None:
        """Call an observing hook; a plugin that raises is warned of."""
        # Not through ask_each: every stage of every batch comes here.
        for implementation in reversed(getattr(self.manager.hook, hook).get_hookimpls()):
            result = _result_of(implementation, arguments)
            if isinstance(result, Exception):
                _warn(implementation.plugin_name, hook, result)

    def register(self, plugin: object, name: str) -> None:
        """Add a plugin object, all of it or nothing.

        Args:
            plugin: A module, or an object with ``@hookimpl`` methods.
            name: What to call it in messages.

        Raises:
            PluginError: A hook of it is misspelt, has a wrong argument, or is a wrapper where none
                can be.
        """
        try:
            check_plugin(plugin)
        except PluginError as error:
            raise PluginError(
                f"The plugin {name} cannot be used: {error.message}", hint=error.hint
            ) from error
        try:
            self.manager.register(plugin, name)
        except (pluggy.PluginValidationError, ValueError) as error:
            self._forget(plugin)
            raise PluginError(f"The plugin {name} cannot be used: {in_words(error)}.") from error

    def unregister(self, name: str) -> None:
        """Take a plugin out again."""
        self.manager.unregister(name=name)

    def _forget(self, plugin: object) -> None:
        """Undo a failed registration; pluggy 1.6 leaves half of it behind."""
        if self.manager.is_registered(plugin):
            self.manager.unregister(plugin)
        for caller in list(vars(self.manager.hook).values()):
            if any(implementation.plugin is plugin for implementation in caller.get_hookimpls()):
                caller._remove_plugin(plugin)  # noqa: SLF001 - no public way in pluggy 1.6


def _warn(plugin: str, hook: str, error: Exception) -> None:
    logger.warning("The plugin %s failed in %s: %s.", plugin, hook, in_words(error))


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
