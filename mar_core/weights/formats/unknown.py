"""What no other format knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.weights.weights_format import Trust, WeightsFormat

if TYPE_CHECKING:
    from mar_core.weights.weights_format import WeightsFile

__all__ = ["FORMAT"]


def _identify(_: WeightsFile) -> bool:
    return True


FORMAT = WeightsFormat(
    name="unknown",
    title="in no format that mar or an installed plugin knows",
    trust=Trust.DATA,
    identify=_identify,
    hint="Give a state dict, safetensors, TorchScript or torch.export file, or install the plugin "
    "for its format.",
    rank=100,
)
