"""From an archive to its model: asks ``mar_load_model``, the plugins first and our loaders last.

This is the plugin ``mar-loaders``. A file's content decides what loads it, never its ending.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError
from mar_core.hookspecs import hookimpl
from mar_core.plugins import LifeCycleHooks, new_manager
from mar_core.weights.weights_format import ModelSource

if TYPE_CHECKING:
    import pluggy

    from mar_core.cache.files import ModelFiles
    from mar_core.plugins import Plugins
    from mar_core.weights.weights_format import WeightsFormat

__all__ = [
    "context_files", "load_model", "mar_load_model", "model_source", "no_loader",
    "other_loaders",
]  # fmt: skip

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
    source = model_source(handler, context)
    if hasattr(handler, "_model_source"):  # its own methods, which load the model, are told of it
        handler._model_source = source  # noqa: SLF001 - BaseHandler's and ours
    model = LifeCycleHooks(manager).load_model(handler, context, source)
    if model is None:
        raise ModelError(
            f"No loader took {source.name!r}.",
            hint="The plugin mar-loaders is switched off; see `mar plugins`.",
        )
    return model


def model_source(handler: Any, context: Any) -> ModelSource:
    """Gather what the loaders need.

    Args:
        handler: The handler; its ``device`` says where the model goes, else it is the CPU.
        context: The manifest, and the archive: its ``files``, else the unpacked archive as
            ``system_properties["model_dir"]``.

    Raises:
        ModelError: A file that the manifest names is not there.
    """
    import torch

    from mar_core.weights.registry import identify

    model = (context.manifest or {}).get("model") or {}
    files = context_files(context)
    serialized = model.get("serializedFile") or None
    row = None
    if serialized is not None:
        if serialized not in files:
            raise ModelError(
                f"The weights file {serialized!r} is not in the archive.",
                hint="Archive it again with --serialized-file.",
            )
        with files.open(serialized) as stream:
            row = identify(stream)
    return ModelSource(
        handler=handler,
        context=context,
        files=files,
        model_file=model.get("modelFile") or None,
        serialized_file=serialized,
        format=row,
        device=torch.device(getattr(handler, "device", None) or "cpu"),
        trusted=bool(context.system_properties.get("allow_pickle")),
    )


def context_files(context: Any) -> ModelFiles:
    """The files of a context's archive; TorchServe's own contexts know a folder alone."""
    from mar_core.cache.files import ModelFiles

    files: ModelFiles | None = getattr(context, "files", None)
    return files or ModelFiles(Path(str(context.system_properties.get("model_dir"))))


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
        from mar_core.weights.state_dict import load_eager

        return load_eager(source)
    if source.format.load is None:
        raise no_loader(source.format, source.name)
    return source.format.load(source)


def no_loader(row: WeightsFormat, name: str) -> ModelError:
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
