"""Weights files: what they are and what they hold, told from their bytes without loading them."""

from __future__ import annotations

from mar_core.weights.kinds import WeightsKind, identify

__all__ = ["WeightsKind", "identify"]
