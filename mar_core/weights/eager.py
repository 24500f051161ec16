"""Networks that Python builds: a model file with or without weights, or a whole pickled module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.errors import ModelError
from mar_core.weights.state_dict import weights_of

if TYPE_CHECKING:
    import torch

    from mar_core.weights.source import ModelSource

__all__ = ["load_eager"]


def load_eager(source: ModelSource) -> torch.nn.Module:
    """Build the network and give it its weights.

    ``handler._load_pickled_model`` does it wherever there is a model file, so that a handler can
    override it as in TorchServe.

    Raises:
        ModelError: There is neither a model file nor a pickled module, or the two do not fit.
    """
    if source.model_file is None:
        model = _load_whole(source)
    else:
        place = source.place_for("_load_pickled_model")
        path = str(place) if place else None
        model = source.handler._load_pickled_model(  # noqa: SLF001 - TorchServe's name for it
            str(source.files.unpack()), source.model_file, path
        )
    return model.to(source.device).eval()


def _load_whole(source: ModelSource) -> torch.nn.Module:
    if source.serialized_file is None:
        raise ModelError(
            "The archive names neither a model file nor a weights file: there is nothing to load.",
            hint="Give --model-file or --serialized-file, or override the handler's initialize.",
        )
    weights = weights_of(source, source.device)
    if isinstance(weights, dict):
        raise ModelError(
            f"{source.name} holds weights alone, not the network that they belong to.",
            hint="Archive it with --model-file, or export the model with torch.export.",
        )
    return weights
