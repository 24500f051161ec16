"""The plugin manager: pluggy's, stricter about what it takes.

Pluggy ignores a function named like a hook that lacks the marker, never passes an argument that has
a default (1.6), and runs properties while it looks for hooks (1.6). A plugin is looked at before it
is registered, so that it is taken whole or not at all.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import threading
import time
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from mar_core import hookspecs
from mar_core.deprecations import OLD_WRAPPER
from mar_core.errors import PluginError
from mar_core.plugins.entry_points import in_words
from mar_core.text import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.ts.context import Context
    from mar_core.weights.weights_format import ModelSource

__all__ = [
    "HookManager",
    "LifeCycleHooks",
    "hook_arguments",
    "hook_names",
    "is_traced",
    "new_manager",
    "trace",
]

TRACE_VARIABLE = "MAR_TRACE"
_MARKER = f"{hookspecs.PROJECT}_impl"
logger = logging.getLogger(__name__)


class HookManager(pluggy.PluginManager):
    """Looks for hooks without running anything of the plugin, as pluggy 1.7 does."""

    def add(self, plugin: object, name: str, *, called: object = None) -> None:
        """Register a plugin object, all of it or nothing.

        Args:
            plugin: A module, or an object with ``@hookimpl`` methods.
            name: Its name.
            called: What messages call it; the name by default.

        Raises:
            PluginError: A hook of it is misspelt, has a wrong argument, or is a wrapper where none
                can be.
        """
        try:
            _check_plugin(plugin)
            self.register(plugin, name)
        except PluginError as error:
            raise PluginError(
                f"The plugin {called or name} cannot be used: {error.message}", hint=error.hint
            ) from error
        except (pluggy.PluginValidationError, ValueError) as error:
            self._forget(plugin)
            raise PluginError(
                f"The plugin {called or name} cannot be used: {in_words(error)}."
            ) from error

    def _forget(self, plugin: object) -> None:
        """Undo a failed registration; pluggy 1.6 leaves half of it behind."""
        if self.is_registered(plugin):
            self.unregister(plugin)
        for caller in list(vars(self.hook).values()):
            if any(implementation.plugin is plugin for implementation in caller.get_hookimpls()):
                caller._remove_plugin(plugin)  # noqa: SLF001 - no public way in pluggy 1.6

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        """What the marker of a function says, or None; pluggy asks."""
        marked = getattr(_function(_static(plugin, name)), _MARKER, None)
        return None if marked is None else super().parse_hookimpl_opts(plugin, name)


def new_manager() -> HookManager:
    """A plugin manager that knows the hooks and holds no plugin.

    ``MAR_TRACE=1`` makes it log each hook call with its plugins and its time.
    """
    manager = HookManager(hookspecs.PROJECT)
    for family in hookspecs.FAMILIES:
        manager.add_hookspecs(family)
    if is_traced():
        trace(manager)
    return manager


def is_traced() -> bool:
    """Whether each hook call is to be logged."""
    return os.environ.get(TRACE_VARIABLE, "0") not in {"", "0"}


def hook_names() -> list[str]:
    """Every hook, in the order of the specification."""
    return list(hookspecs.HOOKS)


@functools.cache
def hook_arguments(hook: str) -> tuple[str, ...]:
    """The arguments that a hook's specification lists."""
    return tuple(inspect.signature(hookspecs.HOOKS[hook]).parameters)


def _check_plugin(plugin: object) -> None:
    """Refuse a plugin object that would not do what its author means.

    Raises:
        PluginError: It is a class, a hook of it is misspelt or not marked, takes an argument that
            the hook does not have, or is a wrapper where none can be.
    """
    if inspect.isclass(plugin):
        raise PluginError(
            f"{plugin.__name__} is a class.", hint="Name a module or an object of that class."
        )
    for attribute, function in _routines(plugin):
        options = getattr(function, _MARKER, None)
        if options is not None:
            _check_hook(attribute, function, options)
        elif attribute.startswith("mar_"):
            raise PluginError(f"{attribute} is not marked with @hookimpl.")


def _routines(plugin: object) -> Iterator[tuple[str, Any]]:
    for attribute in dir(plugin):
        function = _function(_static(plugin, attribute))
        if inspect.isroutine(function):
            yield attribute, function


def _static(plugin: object, attribute: str) -> Any:
    """An attribute, for which nothing of the plugin is run."""
    if type(plugin) is ModuleType:  # as most are; for any object it takes ten times as long
        return vars(plugin).get(attribute)
    return inspect.getattr_static(plugin, attribute, None)


def _function(value: Any) -> Any:
    """The function below a static method, a class method or a bound method."""
    return getattr(value, "__func__", value) if inspect.isroutine(value) else None


def _check_hook(attribute: str, function: Any, options: dict[str, Any]) -> None:
    hook = options.get("specname") or attribute
    if hook not in hookspecs.HOOKS:
        if options.get("optionalhook"):
            return
        hint = suggestion(hook, hook_names()) or "See the reference of hooks."
        raise PluginError(f"There is no hook {hook}.", hint=hint)
    wraps = options.get("wrapper") or options.get("hookwrapper")
    if wraps and hook in hookspecs.EACH_HOOKS:
        raise PluginError(f"{hook} takes no wrappers.")
    if wraps and not inspect.isgeneratorfunction(function):
        raise PluginError(f"{attribute} is marked as a wrapper and does not yield.")
    if options.get("hookwrapper"):
        OLD_WRAPPER.warn_explicit(function)
    _check_arguments(hook, attribute, function)


def _check_arguments(hook: str, attribute: str, function: Any) -> None:
    known = hook_arguments(hook)
    for name, parameter in inspect.signature(function).parameters.items():
        if name in {"self", "cls"} or parameter.kind in {
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        }:
            continue
        if name not in known:
            raise PluginError(
                f"{attribute} takes the argument {name!r}, which {hook} does not have.",
                hint=f"It has {', '.join(known)}.",
            )
        if parameter.kind is parameter.KEYWORD_ONLY or parameter.default is not parameter.empty:
            raise PluginError(f"{attribute}: the argument {name!r} must be plain, with no default.")


def trace(manager: pluggy.PluginManager) -> None:
    """Log every hook call of a manager.

    Pluggy's own tracing prints each argument, which copies tensors from the device.
    """
    started = threading.local()

    def before(hook: str, implementations: Any, arguments: Any) -> None:  # noqa: ARG001 - pluggy's
        stack = started.__dict__.setdefault("stack", [])
        stack.append(time.perf_counter())

    def after(outcome: Any, hook: str, implementations: Any, arguments: Any) -> None:  # noqa: ARG001
        milliseconds = (time.perf_counter() - started.stack.pop()) * 1000
        names = [implementation.plugin_name for implementation in reversed(implementations)]
        if names:
            error = f", {type(outcome.exception).__name__}" if outcome.exception else ""
            logger.info("%s %s %.2f ms%s", hook, names, milliseconds, error)

    manager.add_hookcall_monitoring(before, after)


class LifeCycleHooks:
    """The life-cycle hooks of a plugin manager, one chain each: what is raised ends it.

    Args:
        manager: Holds the plugins that take part, and the handler behind its adapter.
    """

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self._hook = manager.hook

    @property
    def callers(self) -> tuple[pluggy.HookCaller, ...]:
        """All of them, as pluggy has them."""
        hook = self._hook
        return (
            hook.mar_load_model,
            hook.mar_initialize,
            hook.mar_preprocess,
            hook.mar_inference,
            hook.mar_postprocess,
            hook.mar_explain,
            hook.mar_teardown,
        )

    def load_model(self, handler: Any, context: Context, source: ModelSource) -> object:
        """``mar_load_model``."""
        return self._hook.mar_load_model(handler=handler, context=context, source=source)

    def initialize(self, handler: Any, context: Context) -> object:
        """``mar_initialize``."""
        return self._hook.mar_initialize(handler=handler, context=context)

    def preprocess(self, handler: Any, data: Any, context: Context) -> object:
        """``mar_preprocess``."""
        return self._hook.mar_preprocess(handler=handler, data=data, context=context)

    def inference(self, handler: Any, data: Any, context: Context) -> object:
        """``mar_inference``."""
        return self._hook.mar_inference(handler=handler, data=data, context=context)

    def postprocess(self, handler: Any, data: Any, context: Context) -> object:
        """``mar_postprocess``."""
        return self._hook.mar_postprocess(handler=handler, data=data, context=context)

    def explain(self, handler: Any, data: Any, raw: Any, context: Context) -> object:
        """``mar_explain``."""
        return self._hook.mar_explain(handler=handler, data=data, raw=raw, context=context)

    def teardown(self, handler: Any, context: Context) -> object:
        """``mar_teardown``."""
        return self._hook.mar_teardown(handler=handler, context=context)
