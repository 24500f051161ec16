"""From an archive to its model: asks ``mar_load_model``, the plugins first and our loaders last.

This is the plugin ``mar-loaders``. A file's content decides what loads it, never its ending.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError
from mar_core.hookspecs import hookimpl
from mar_core.plugins import new_manager
from mar_core.weights.source import source_of

if TYPE_CHECKING:
    import pluggy

    from mar_core.plugins import Plugins
    from mar_core.weights.source import ModelSource
    from mar_core.weights.weights_format import WeightsFormat

__all__ = ["load_model", "mar_load_model", "other_loaders", "refusal"]

_NAME = "mar-loaders"


def load_model(handler: Any, context: Any) -> object:
    """Load the model of the archive that ``context`` describes.

    Args:
        handler: The handler that asks; its ``device`` says where the model goes.
        context: The manifest, and the unpacked archive as ``system_properties["model_dir"]``; its
            ``model_loaders`` are asked, or our loaders alone where it has none.

    Returns:
        Something callable, as a rule a ``torch.nn.Module`` on the device in evaluation mode.

    Raises:
        ModelError: There is no model, nothing can load it, or it does not fit its model file.
    """
    manager = getattr(context, "model_loaders", None) or _our_loaders()
    source = source_of(handler, context)
    if hasattr(handler, "_model_source"):  # its own methods, which load the model, are told of it
        handler._model_source = source  # noqa: SLF001 - BaseHandler's and ours
    model: object | None = manager.hook.mar_load_model(
        handler=handler, context=context, source=source
    )
    if model is None:
        raise ModelError(
            f"No loader took {source.name!r}.",
            hint="The plugin mar-loaders is switched off; see `mar plugins`.",
        )
    return model


@hookimpl(trylast=True)
def mar_load_model(source: ModelSource) -> object:
    """Load what the handler itself loads, or else what a registered format does.

    Raises:
        ModelError: The file is of none, or cannot be loaded; the sentence says what it is.
    """
    own = getattr(source.handler, "model_from_source", None)
    model: object | None = None if own is None else own(source)
    if model is not None:
        return model
    if source.format is None:
        from mar_core.weights.eager import load_eager

        return load_eager(source)
    if source.format.load is None:
        raise refusal(source.format, source.name)
    return source.format.load(source)


def refusal(row: WeightsFormat, name: str) -> ModelError:
    """What is said of a file that no format's loader takes.

    Args:
        row: What the file is; it has no ``load``.
        name: What to call it.
    """
    return ModelError(f"{name} is {row.title}.", hint=row.hint)


def other_loaders(plugins: Plugins) -> list[str]:
    """The plugins that may load what no format's loader does, by name."""
    names = {i.plugin_name for i in plugins.manager.hook.mar_load_model.get_hookimpls()}
    return sorted(names - {_NAME})


@functools.cache
def _our_loaders() -> pluggy.PluginManager:
    import sys

    manager = new_manager()
    manager.register(sys.modules[__name__], _NAME)
    return manager
