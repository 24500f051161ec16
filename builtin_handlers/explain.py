"""Explanations by Captum, an optional extra: imported when the first one is asked for."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import torch

from mar_core import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STEPS", "heat_map", "integrated_gradients", "layer_gradients"]

# TorchServe's number of points between nothing and the input.
STEPS = 15
_SAMPLE = 1_000_000
_HEIGHT_WIDTH, _CHANNELS_HEIGHT_WIDTH = 2, 3


def integrated_gradients(score: Callable[..., torch.Tensor]) -> Any:
    """Integrated gradients of a function of the input.

    Raises:
        ModelError: Captum is not installed.
    """
    return _captum().IntegratedGradients(score)


def layer_gradients(score: Callable[..., torch.Tensor], layer: torch.nn.Module) -> Any:
    """Mean gradients at a layer's output, on the way from nothing to the input.

    Raises:
        ModelError: Captum is not installed.
    """
    return _captum().LayerIntegratedGradients(score, layer, multiply_by_inputs=False)


def heat_map(attributions: torch.Tensor) -> bytes:
    """A picture of how much each pixel counted.

    Args:
        attributions: float of shape ``[channels, height, width]`` or ``[height, width]``; anything
            else is drawn as one row.

    Returns:
        The bytes of a PNG of ``height`` by ``width``: red where the sum over the channels is
        positive, blue where it is negative, white where it is nothing.
    """
    from PIL import Image

    values = attributions.float()
    values = values.sum(0) if values.ndim == _CHANNELS_HEIGHT_WIDTH else values
    values = values if values.ndim == _HEIGHT_WIDTH else values.reshape(1, -1)
    # A few extreme pixels would leave the others white. PyTorch's quantile takes 16 million values.
    some = values.abs().flatten()[:: 1 + values.numel() // _SAMPLE]
    strongest = torch.quantile(some, 0.99).clamp_min(torch.finfo().tiny)
    strength = (values / strongest).clamp(-1, 1)
    faded = 1 - strength.abs()
    red, blue = torch.where(strength < 0, faded, 1.0), torch.where(strength > 0, faded, 1.0)
    pixels = (torch.stack([red, faded, blue], dim=-1) * 255).round().to(torch.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(stream, format="PNG")
    return stream.getvalue()


def _captum() -> Any:
    try:
        import captum.attr
    except ModuleNotFoundError as error:
        raise ModelError(
            "Explanations need Captum, which is not installed.",
            hint="Install it: `pip install 'mar-core[explain]'`.",
        ) from error
    return captum.attr
