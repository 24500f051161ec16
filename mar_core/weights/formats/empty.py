"""No bytes at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.weights.weights_format import Trust, WeightsFormat

if TYPE_CHECKING:
    from mar_core.weights.weights_format import WeightsFile

__all__ = ["FORMAT"]


def _identify(file: WeightsFile) -> bool:
    return not file.size


FORMAT = WeightsFormat(
    name="empty",
    title="empty",
    trust=Trust.DATA,
    identify=_identify,
    hint="Make it again.",
    rank=0,
)
