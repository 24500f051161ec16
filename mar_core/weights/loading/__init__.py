"""The loaders that come with mar, as the plugin ``mar-loaders``: one module for each format.

A file's content decides which of them takes it, never its ending.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError
from mar_core.handlers.code import code_of
from mar_core.hookspecs import hookimpl
from mar_core.weights import WeightsKind
from mar_core.weights.loading.source import current_source, source_of

if TYPE_CHECKING:
    from mar_core.ts.context import Context

__all__ = ["mar_load_model", "refusal"]

_LOADERS = {
    None: "eager",
    WeightsKind.TORCH: "eager",
    WeightsKind.TORCH_LEGACY: "eager",
    WeightsKind.SAFETENSORS: "eager",
    WeightsKind.TORCHSCRIPT: "torchscript",
    WeightsKind.EXPORTED: "exported",
    WeightsKind.AOTINDUCTOR: "aotinductor",
    WeightsKind.SHARED_LIBRARY: "aotinductor",
}
_REFUSED = {
    WeightsKind.ONNX: (
        "an ONNX model",
        "Install the loader for it, in a checkout of mar: `pip install ./plugins/mar-onnx`.",
    ),
    WeightsKind.TORCH_TAR: (
        "in the tar format of PyTorch before 0.2, which cannot be loaded safely",
        "Load it with the PyTorch that wrote it and save its state dict again.",
    ),
    WeightsKind.TORCH_PACKAGE: (
        "a torch.package, which is code and pickles",
        "Save the model's state dict, or export it with torch.export.",
    ),
    WeightsKind.PICKLE: (
        "a Python pickle that torch.save did not write",
        "Save the model's state dict with torch.save or safetensors.",
    ),
    WeightsKind.NUMPY: (
        "a NumPy file",
        "Turn its arrays into tensors and save them with torch.save or safetensors.",
    ),
    WeightsKind.EMPTY: ("empty", "Make it again."),
    WeightsKind.TEXT: (
        "text, not weights",
        "If it came from a git repository, fetch the real file with `git lfs pull`.",
    ),
    WeightsKind.ZIP: (
        "a zip that PyTorch did not write, or a damaged one",
        "Save it again, or download it again.",
    ),
}


@hookimpl(trylast=True)
def mar_load_model(handler: Any, context: Context) -> object:
    """Load any of the formats that PyTorch itself writes, and safetensors.

    Raises:
        ModelError: The file is none of them, or cannot be loaded; the sentence says what it is.
    """
    source = source_of(handler, context)
    refused = refusal(source.kind, source.name)
    if refused is not None:
        raise refused
    name = _LOADERS[source.kind]
    loader = import_module(f"mar_core.weights.loading.{name}")
    token = current_source.set(source)
    try:
        with code_of(source.model_dir).active():
            return loader.load(source)
    finally:
        current_source.reset(token)


def refusal(kind: WeightsKind | None, name: str) -> ModelError | None:
    """Why these loaders do not take a file, or None where they do.

    Args:
        kind: What the file is; None where there is no file.
        name: What to call it.
    """
    if kind in _LOADERS:
        return None
    what, hint = _REFUSED.get(
        kind or WeightsKind.UNKNOWN,
        (
            "in no format that mar knows",
            "Give a state dict, safetensors, TorchScript or torch.export file.",
        ),
    )
    return ModelError(f"{name} is {what}.", hint=hint)
