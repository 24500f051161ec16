"""Weights files: what they are and what they hold, told from their bytes without loading them."""

from __future__ import annotations

from mar_core.weights.examine import examine
from mar_core.weights.kinds import WeightsKind, identify
from mar_core.weights.report import Fault, TensorInfo, WeightsReport
from mar_core.weights.windows import seekable

__all__ = ["Fault", "TensorInfo", "WeightsKind", "WeightsReport", "examine", "identify", "seekable"]
