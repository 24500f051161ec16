"""How many GPUs there are, without torch."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["count_gpus"]

_NVIDIA = Path("/proc/driver/nvidia/gpus")


def count_gpus() -> int:
    """The GPUs that workers may use: those of the driver, or those that the user left visible."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        ids = [one.strip() for one in visible.split(",")]
        until = next((at for at, one in enumerate(ids) if one in {"", "-1"}), len(ids))
        return until if _NVIDIA.exists() else 0
    try:
        return len(list(_NVIDIA.iterdir()))
    except OSError:
        return 0
