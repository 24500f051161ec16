"""The life cycle of one loaded handler: each stage through its hook, timed and announced."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from mar_core import plugins
from mar_core.plugins.manager import is_traced
from mar_core.ts.adapter import HandlerAdapter, unwrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.handlers.load import LoadedHandler
    from mar_core.ts.context import Context

__all__ = ["LifeCycle"]

_Arguments = ParamSpec("_Arguments")


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
        self._hooks = plugins.LifeCycleHooks(self.manager)
        self._shorten()
        self._observed = installed.manager.hook.mar_stage_finished

    def take_part(self, plugin: object, name: str) -> None:
        """Add a plugin to the stages of this handler alone."""
        self.manager.register(plugin, name)
        self._shorten()

    def initialize(self, context: Context) -> None:
        """Get the handler ready."""
        self._run("initialize", 0, self._initialize, context)

    def teardown(self, context: Context) -> None:
        """Let the handler clean up."""
        try:
            self._run("teardown", 0, self._teardown, context)
        finally:
            self._installed.tell_failures()

    def preprocess(self, data: Any, context: Context, *, size: int) -> Any:
        """The model's input of a batch.

        Args:
            data: The requests.
            context: The context of this batch.
            size: How many requests the batch holds.

        Returns:
            What the handler, or the plugin that took its place, returned.
        """
        return self._run("preprocess", size, self._preprocess, data, context)

    def inference(self, data: Any, context: Context, *, size: int) -> Any:
        """The model's output for what ``preprocess`` returned."""
        return self._run("inference", size, self._inference, data, context)

    def postprocess(self, data: Any, context: Context, *, size: int) -> Any:
        """The results of a batch, made of what ``inference`` returned."""
        return self._run("postprocess", size, self._postprocess, data, context)

    def explain(self, data: Any, raw: Any, context: Context, *, size: int) -> Any:
        """Explain a batch: what ``preprocess`` returned, and the requests as they came."""
        return self._run("explain", size, self._explain, data, raw, context)

    def passes_on(self, stage: str, *, size: int) -> bool:
        """Whether a stage only hands the data on: the handler has one, and no plugin this.

        If so, it has ended with this call.
        """
        if self.loaded.staged or stage not in self._alone:
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

    def _shorten(self) -> None:
        """Ask the adapter itself where no plugin has a part in a stage: pluggy costs more."""
        own, hooks = self._adapter, self._hooks
        self._alone = frozenset() if is_traced() else self._handlers_alone()
        alone = self._alone.__contains__
        self._initialize = own.mar_initialize if alone("initialize") else hooks.initialize
        self._preprocess = own.mar_preprocess if alone("preprocess") else hooks.preprocess
        self._inference = own.mar_inference if alone("inference") else hooks.inference
        self._postprocess = own.mar_postprocess if alone("postprocess") else hooks.postprocess
        self._explain = own.mar_explain if alone("explain") else hooks.explain
        self._teardown = own.mar_teardown if alone("teardown") else hooks.teardown

    def _handlers_alone(self) -> frozenset[str]:
        """The stages in which no plugin has a part."""
        callers = self._hooks.callers
        alone = (caller.name for caller in callers if len(caller.get_hookimpls()) == 1)
        return frozenset(name.removeprefix("mar_") for name in alone)

    def _run(
        self,
        stage: str,
        size: int,
        call: Callable[Concatenate[Any, _Arguments], object],
        *arguments: _Arguments.args,
        **named: _Arguments.kwargs,
    ) -> Any:
        """Run a stage, take its time and tell observers."""
        loaded = self.loaded
        start = time.perf_counter()
        error: BaseException | None = None
        try:
            with loaded.code.active():
                return unwrap(call(loaded.instance, *arguments, **named))
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


def _taking_part(installed: plugins.Plugins) -> list[tuple[str, object]]:
    """The registered plugins that implement a life-cycle hook, in the order of registration."""
    callers = plugins.LifeCycleHooks(installed.manager).callers
    found = {id(one.plugin) for caller in callers for one in caller.get_hookimpls()}
    named = installed.manager.list_name_plugin()
    return [(name, plugin) for name, plugin in named if id(plugin) in found]
