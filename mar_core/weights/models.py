"""From an archive to its model: asks ``mar_load_model``, the plugins first and our loaders last."""

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError
from mar_core.plugins import new_manager

if TYPE_CHECKING:
    import pluggy

    from mar_core.ts.context import Context

__all__ = ["active_manager", "load_model"]

active_manager: ContextVar[pluggy.PluginManager | None] = ContextVar("active_manager", default=None)
"""The plugin manager of the archive that is being loaded; None stands for our loaders alone."""


def load_model(handler: Any, context: Context) -> object:
    """Load the model of the archive that ``context`` describes.

    Args:
        handler: The handler that asks; its ``device`` says where the model goes.
        context: The manifest, and the unpacked archive as ``system_properties["model_dir"]``.

    Returns:
        Something callable, as a rule a ``torch.nn.Module`` on the device in evaluation mode.

    Raises:
        ModelError: There is no model, nothing can load it, or it does not fit its model file.
    """
    manager = active_manager.get() or _our_loaders()
    model: object | None = manager.hook.mar_load_model(handler=handler, context=context)
    if model is None:
        weights = ((context.manifest or {}).get("model") or {}).get("serializedFile")
        raise ModelError(
            f"No loader took {weights!r}.",
            hint="The plugin mar-loaders is switched off; see `mar plugins`.",
        )
    return model


@functools.cache
def _our_loaders() -> pluggy.PluginManager:
    from mar_core.weights import loading as formats

    manager = new_manager()
    manager.register(formats, "mar-loaders")
    return manager
