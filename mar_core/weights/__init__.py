"""Weights files: what they are and what they hold, told from their bytes without loading them."""

from __future__ import annotations

from mar_core.weights.registry import examine, identify, weights_formats
from mar_core.weights.streams import Allowance, TooCostlyError, seekable
from mar_core.weights.weights_format import (
    Fault,
    ModelSource,
    TensorInfo,
    Trust,
    WeightsFile,
    WeightsFormat,
    WeightsReport,
    contiguous,
    require_trust,
)

__all__ = [
    "Allowance", "Fault", "ModelSource", "TensorInfo", "TooCostlyError", "Trust",
    "WeightsFile", "WeightsFormat", "WeightsReport", "contiguous", "examine", "identify",
    "require_trust", "seekable", "weights_formats",
]  # fmt: skip
