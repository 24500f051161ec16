"""Discovery of handlers and plugins: the one place that reads entry points.

Listing reads metadata and imports nothing. Loading imports plugins one by one, each on its own
``try``: what fails is kept as data, and harms nothing else.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import logging
import os
import threading
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import importlib_metadata
import pluggy

from mar_core import hookspecs
from mar_core.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "HANDLER_GROUP",
    "PLUGIN_GROUP",
    "EntryInfo",
    "PluginFailure",
    "Plugins",
    "find_entries",
    "find_handler",
    "get_plugins",
    "load_plugins",
]

HANDLER_GROUP = "mar.handlers"
PLUGIN_GROUP = "mar.plugins"
DISABLED_VARIABLE = "MAR_DISABLED_PLUGINS"
STRICT_VARIABLE = "MAR_STRICT_PLUGINS"
HOST = "mar-core"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryInfo:
    """One entry point, known from metadata alone.

    Attributes:
        name: The name that users type.
        group: ``mar.handlers`` or ``mar.plugins``.
        target: ``module:attribute`` as declared.
        distribution: The distribution that declares it.
        version: That distribution's version.
        requires: The version specifier that it asks of mar-core, such as ``>=0.1,<0.2``, or empty.
    """

    name: str
    group: str
    target: str
    distribution: str
    version: str
    requires: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"

    @property
    def module(self) -> str:
        """The module of the target."""
        return self.target.partition(":")[0]

    def load(self) -> Any:
        """Import the target.

        Raises:
            PluginError: It asks for another version of mar, fails to import, or is not there.
        """
        mismatch = _host_mismatch(self)
        if mismatch:
            raise PluginError(
                f"{self} {mismatch}.",
                hint=f"Upgrade one of the two: `pip install -U {self.distribution} {HOST}`.",
            )
        entry = importlib_metadata.EntryPoint(self.name, self.target, self.group)
        try:
            return entry.load()
        except (Exception, SystemExit) as error:  # a module may call sys.exit() when imported
            raise PluginError(
                f"{self} cannot be imported: {_reason(error)}.",
                hint=_import_hint(self, error),
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFailure:
    """A plugin that was left out, and why.

    Attributes:
        entry: The plugin.
        state: ``broken`` or ``clash``.
        reason: One sentence.
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
            wanted = {name: arguments[name] for name in implementation.argnames}
            try:
                result = implementation.function(**wanted)
                if inspect.isgenerator(result):
                    result = list(result)
            except Exception as error:  # noqa: BLE001 - whatever a plugin raises is data here
                result = error
            yield implementation.plugin_name, result

    def notify(self, hook: str, **arguments: Any) -> None:
        """Call an observing hook; what a plugin raises is logged with the plugin's name."""
        for name, result in self.call_each(hook, **arguments):
            if isinstance(result, Exception):
                logger.warning("plugin %s failed in %s: %s", name, hook, _reason(result))

    def register(self, plugin: object, name: str) -> None:
        """Add a plugin object, all of it or nothing.

        Raises:
            PluginError: A hook of it is misspelt, has a wrong argument, or is a wrapper where none
                can be.
        """
        _reject_undecorated(plugin, name)
        try:
            self.manager.register(plugin, name)
            self.manager.check_pending()
            self._reject_wrappers(name)
        except (pluggy.PluginValidationError, PluginError, ValueError) as error:
            self._forget(plugin)
            raise PluginError(f"plugin {name} cannot be used: {_reason(error)}.") from error

    def unregister(self, name: str) -> None:
        """Take a plugin out again."""
        self.manager.unregister(name=name)

    def _reject_wrappers(self, plugin_name: str) -> None:
        for hook in hookspecs.EACH_HOOKS:
            for implementation in getattr(self.manager.hook, hook).get_hookimpls():
                wraps = implementation.wrapper or implementation.hookwrapper
                if wraps and implementation.plugin_name == plugin_name:
                    raise PluginError(f"{hook} takes no wrappers")

    def _forget(self, plugin: object) -> None:
        """Undo a failed registration; pluggy 1.6 leaves half of it behind."""
        if self.manager.is_registered(plugin):
            self.manager.unregister(plugin)
        for caller in list(vars(self.manager.hook).values()):
            for implementation in caller.get_hookimpls():
                if implementation.plugin is plugin:
                    caller._remove_plugin(plugin)  # noqa: SLF001 - no public way in pluggy 1.6
            if not caller.has_spec() and not caller.get_hookimpls():
                delattr(self.manager.hook, caller.name)


def find_entries(group: str) -> list[EntryInfo]:
    """List the entry points of a group without importing anything.

    Args:
        group: ``HANDLER_GROUP`` or ``PLUGIN_GROUP``.

    Returns:
        The entries by name, then distribution; a name that two distributions offer is there twice.
    """
    found = {}
    for entry in importlib_metadata.entry_points(group=group):
        info = _describe(entry)
        found[info.name, info.distribution] = info
    return [found[key] for key in sorted(found)]


def find_handler(name: str) -> EntryInfo | None:
    """The registered handler of that name, or None.

    Raises:
        PluginError: Two distributions offer it.
    """
    matches = [entry for entry in find_entries(HANDLER_GROUP) if entry.name == name]
    if len(matches) > 1:
        raise PluginError(
            f"The handler name {name!r} is offered by {_join(matches)}.",
            hint="Uninstall one of them.",
        )
    return matches[0] if matches else None


def nearest_handlers(name: str) -> list[str]:
    """Registered handler names that look like this one, best first."""
    names = [entry.name for entry in find_entries(HANDLER_GROUP)]
    return difflib.get_close_matches(name, names, n=3)


def new_manager() -> pluggy.PluginManager:
    """A plugin manager that knows the hooks and holds no plugin."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def load_plugins(*, disabled: Iterable[str] = (), strict: bool = False) -> Plugins:
    """Import and register every plugin that is installed.

    Args:
        disabled: Names of plugins that must not even be imported; ``*`` stands for every plugin
            that does not come with mar itself.
        strict: Raise at the first plugin that fails, for the tests of plugin authors.

    Raises:
        PluginError: ``strict`` is set and a plugin failed.
    """
    plugins = Plugins(new_manager())
    blocked = set(disabled)
    entries = find_entries(PLUGIN_GROUP)
    clashing = {entry.name for entry in entries if [e.name for e in entries].count(entry.name) > 1}
    # Ours first: pluggy asks the last registered first, so that others come before us.
    for entry in sorted(entries, key=lambda entry: (entry.distribution != HOST, entry.name)):
        if entry.name in blocked or ("*" in blocked and entry.distribution != HOST):
            plugins.blocked.append(entry)
            continue
        try:
            if entry.name in clashing:
                same = [other for other in entries if other.name == entry.name]
                raise _ClashError(f"The plugin name {entry.name!r} is offered by {_join(same)}.")
            plugins.register(entry.load(), entry.name)
        except PluginError as error:
            if strict:
                raise
            state = "clash" if isinstance(error, _ClashError) else "broken"
            plugins.failures.append(PluginFailure(entry=entry, state=state, reason=str(error)))
        else:
            plugins.loaded.append(entry)
    return plugins


_lock = threading.Lock()


def get_plugins() -> Plugins:
    """The plugins of this process, loaded at the first call.

    ``MAR_DISABLED_PLUGINS`` and ``MAR_STRICT_PLUGINS`` are honoured; each plugin that was left out
    is warned of in one line.
    """
    with _lock:
        return _load_once()


@functools.cache
def _load_once() -> Plugins:
    disabled = [name.strip() for name in os.environ.get(DISABLED_VARIABLE, "").split(",")]
    plugins = load_plugins(disabled=disabled, strict=os.environ.get(STRICT_VARIABLE) == "1")
    for failure in plugins.failures:
        warnings.warn(f"{failure.reason} (see `mar plugins`)", PluginWarning, stacklevel=3)
    return plugins


class PluginWarning(UserWarning):
    """An installed plugin was left out."""


class _ClashError(PluginError):
    """Two distributions offer one name."""


def _describe(entry: importlib_metadata.EntryPoint) -> EntryInfo:
    distribution = entry.dist
    requires = ""
    for line in (distribution.requires or []) if distribution else []:
        requires = _host_specifier(line) or requires
    return EntryInfo(
        name=entry.name,
        group=entry.group,
        target=entry.value,
        distribution=distribution.name if distribution else "unknown",
        version=distribution.version if distribution else "unknown",
        requires=requires,
    )


def _host_specifier(requirement: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement  # only for plugins

    if "mar" not in requirement:
        return ""
    try:
        parsed = Requirement(requirement)
    except InvalidRequirement:
        return ""
    same = parsed.name.replace("_", "-").lower() == HOST and "extra" not in str(parsed.marker)
    return str(parsed.specifier) if same else ""


def _host_mismatch(entry: EntryInfo) -> str | None:
    from packaging.specifiers import SpecifierSet

    version = importlib_metadata.version(HOST)
    if not entry.requires or SpecifierSet(entry.requires).contains(version, prereleases=True):
        return None
    return f"needs {HOST} {entry.requires}, and this is {HOST} {version}"


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}"


def _import_hint(entry: EntryInfo, error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and error.name != entry.module:
        return f"Install what it needs: `pip install {error.name.partition('.')[0]}`."
    return f"Reinstall or remove it: `pip uninstall {entry.distribution}`."


def _reject_undecorated(plugin: object, name: str) -> None:
    """Pluggy silently ignores a function named like a hook that lacks the marker."""
    marker = f"{hookspecs.PROJECT}_impl"
    for attribute, value in inspect.getmembers_static(plugin):
        if attribute.startswith("mar_") and inspect.isroutine(value):
            function = getattr(value, "__func__", value)
            if not hasattr(function, marker):
                raise PluginError(f"plugin {name}: {attribute} is not marked with @hookimpl.")


def _join(entries: Iterable[EntryInfo]) -> str:
    return " and ".join(f"{entry.distribution} {entry.version}" for entry in entries)
