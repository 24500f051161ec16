"""Which GPUs the workers of an archive are dealt, known without importing torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.ts.device import wanted_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["count_gpus", "gpus_for"]

_NVIDIA = Path("/proc/driver/nvidia/gpus")


def count_gpus() -> int:
    """The GPUs that workers may use: those of NVIDIA's driver, or those left visible to CUDA."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        ids = [one.strip() for one in visible.split(",")]
        until = next((at for at, one in enumerate(ids) if one in {"", "-1"}), len(ids))
        return until if _NVIDIA.exists() else 0
    try:
        return len(list(_NVIDIA.iterdir()))
    except OSError:
        return 0


def gpus_for(config: Mapping[str, Any], *, count: int) -> list[int]:
    """The GPUs for the workers of an archive, each in its turn.

    Args:
        config: The archive's model-config.yaml: ``deviceType`` and ``deviceIds``.
        count: How many GPUs there are.

    Returns:
        Their numbers: those that it names, or else all; none where it is to stay on the CPU.
    """
    if config.get("deviceType") == "cpu":
        return []
    return wanted_ids(config, count) or list(range(count))
