"""The life cycle of one loaded handler: each stage through its hook, timed and announced."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from mar_core import plugins
from mar_core.plugins.manager import is_traced
from mar_core.ts.adapter import HandlerAdapter, unwrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.handlers.load import LoadedHandler
    from mar_core.ts.context import Context

__all__ = ["LifeCycle"]

_HOOKS = (
    "mar_load_model",
    "mar_initialize",
    "mar_preprocess",
    "mar_inference",
    "mar_postprocess",
    "mar_explain",
    "mar_teardown",
)


class LifeCycle:
    """Calls the stages of one handler, with the plugins that take part in them.

    Args:
        loaded: The handler.
        model: The model's name, for observers.
        installed: The plugins of this process.

    Attributes:
        manager: The handler behind its adapter, and every plugin with a life-cycle hook.
        seconds: Wall-clock seconds by stage, added up.
    """

    def __init__(self, loaded: LoadedHandler, *, model: str, installed: plugins.Plugins) -> None:
        self.loaded = loaded
        self.model = model
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._installed = installed
        self._lock = threading.Lock()
        self.manager = plugins.new_manager()
        for name, plugin in _taking_part(installed):
            self.manager.register(plugin, name)
        # Registered last and marked trylast: nothing can come after the handler.
        self._adapter = HandlerAdapter(loaded)
        self.manager.register(self._adapter, f"handler:{loaded.name}")
        self._calls = self._shortest_calls()
        self._observed = installed.manager.hook.mar_stage_finished

    def take_part(self, plugin: object, name: str) -> None:
        """Add a plugin to the stages of this handler alone."""
        self.manager.register(plugin, name)
        self._calls = self._shortest_calls()

    def initialize(self, context: Context) -> None:
        """Get the handler ready."""
        self._call("initialize", 0, context=context)

    def teardown(self, context: Context) -> None:
        """Let the handler clean up."""
        try:
            self._call("teardown", 0, context=context)
        finally:
            self._installed.tell_failures()

    def stage(self, stage: str, data: Any, context: Context, *, size: int) -> Any:
        """Run ``preprocess``, ``inference`` or ``postprocess`` on a batch.

        Args:
            stage: Which.
            data: The requests, or what the stage before returned.
            context: The context of this batch.
            size: How many requests the batch holds.

        Returns:
            What the handler, or the plugin that took its place, returned.
        """
        return self._call(stage, size, data=data, context=context)

    def explain(self, data: Any, raw: Any, context: Context, *, size: int) -> Any:
        """Explain a batch: what ``preprocess`` returned, and the requests as they came."""
        return self._call("explain", size, data=data, raw=raw, context=context)

    def passes_on(self, stage: str, *, size: int) -> bool:
        """Whether a stage only hands the data on: the handler has one, and no plugin this.

        If so, it has ended with this call.
        """
        if self.loaded.staged or self._calls[stage] is None:
            return False
        if self._observed.get_hookimpls():
            self._installed.stage_finished(
                model=self.model, stage=stage, seconds=0.0, size=size, error=None
            )
        return True

    def add_seconds(self, stage: str, seconds: float) -> None:
        """Add to the time that a stage has taken."""
        with self._lock:
            self.seconds[stage] += seconds

    def take_seconds(self) -> dict[str, float]:
        """The time that stages have taken since the last call."""
        with self._lock:
            seconds = dict(self.seconds)
            self.seconds.clear()
        return seconds

    def record_metric(self, metric: Any) -> None:
        """Tell observers of a metric that the handler recorded."""
        self._installed.metric_recorded(self.model, metric)

    def _shortest_calls(self) -> dict[str, Callable[..., Any] | None]:
        return {hook.removeprefix("mar_"): self._shortest(hook) for hook in _HOOKS[1:]}

    def _shortest(self, hook: str) -> Callable[..., Any] | None:
        """The adapter's own method where no plugin has a part in the stage: pluggy costs more."""
        if is_traced() or len(getattr(self.manager.hook, hook).get_hookimpls()) > 1:
            return None
        method: Callable[..., Any] = getattr(self._adapter, hook)
        return method

    def _call(self, stage: str, size: int, **arguments: Any) -> Any:
        loaded, direct = self.loaded, self._calls[stage]
        start = time.perf_counter()
        error: BaseException | None = None
        try:
            with loaded.activate():
                if direct is not None:
                    return unwrap(_directly(direct, stage, loaded.instance, arguments))
                hook = getattr(self.manager.hook, f"mar_{stage}")
                return unwrap(hook(handler=loaded.instance, **arguments))
        except BaseException as raised:
            error = raised
            raise
        finally:
            seconds = time.perf_counter() - start
            self.add_seconds(stage, seconds)
            if self._observed.get_hookimpls():
                self._installed.stage_finished(
                    model=self.model, stage=stage, seconds=seconds, size=size, error=error
                )


def _directly(
    method: Callable[..., Any], stage: str, handler: Any, arguments: dict[str, Any]
) -> Any:
    """Call the adapter as pluggy would: each of its methods takes what it needs."""
    if stage == "initialize":
        return method(context=arguments["context"])
    if stage == "teardown":
        return method(handler=handler)
    if stage == "explain":
        return method(handler=handler, **arguments)
    return method(handler, arguments["data"], arguments["context"])


def _taking_part(installed: plugins.Plugins) -> list[tuple[str, object]]:
    """The registered plugins that implement a life-cycle hook, in the order of registration."""
    named = installed.manager.list_name_plugin()
    return [
        (name, plugin)
        for name, plugin in named
        if plugin is not None and any(_implements(installed, plugin, hook) for hook in _HOOKS)
    ]


def _implements(installed: plugins.Plugins, plugin: object, hook: str) -> bool:
    caller = getattr(installed.manager.hook, hook)
    return any(implementation.plugin is plugin for implementation in caller.get_hookimpls())
