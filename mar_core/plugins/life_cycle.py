"""The hooks of a handler's life cycle: each is a typed method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pluggy

    from mar_core.ts.context import Context
    from mar_core.weights.weights_format import ModelSource

__all__ = ["LifeCycleHooks"]


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
