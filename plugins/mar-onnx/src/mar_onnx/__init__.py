"""A loader for ONNX: an archive whose weights are an ONNX model runs as any other does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core import WeightsKind, hookimpl, identify

if TYPE_CHECKING:
    from mar_core import Context

__all__ = ["mar_load_model"]


@hookimpl
def mar_load_model(handler: Any, context: Context) -> object | None:
    """Load the model where it is ONNX by its content.

    Args:
        handler: The handler; ``handler.device`` chooses the execution provider.
        context: The manifest, and the folder that holds the model.

    Returns:
        An ``OnnxModel``, or None where the weights are of another format.

    Raises:
        ModelError: onnxruntime cannot load the model.
    """
    name = ((context.manifest or {}).get("model") or {}).get("serializedFile")
    path = Path(str(context.system_properties["model_dir"]), name or "")
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        if identify(stream) is not WeightsKind.ONNX:
            return None
    from mar_onnx.model import load

    return load(path, getattr(handler, "device", None) or "cpu")
