"""PyTorch's profiler around a handler."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["default_trace_folder", "profiler_arguments"]

logger = logging.getLogger(__name__)


def default_trace_folder(model_name: str) -> Path:
    """Where traces go when nobody says: ``pytorch_profiler/NAME`` beside temporary files."""
    return Path(tempfile.gettempdir()) / "pytorch_profiler" / model_name


def profiler_arguments(wanted: dict[str, Any], model_name: str) -> dict[str, Any]:
    """The arguments of ``torch.profiler.profile``: a handler's own, completed.

    Args:
        wanted: The handler's ``profiler_args``; where it is empty, CPU and CUDA activities with
            shapes are recorded.
        model_name: Names the folder of the traces, where ``on_trace_ready`` is not given.
    """
    import torch
    from torch.profiler import ProfilerActivity, tensorboard_trace_handler

    arguments = dict(wanted)
    if not arguments:
        cuda = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
        arguments = {"activities": [ProfilerActivity.CPU, *cuda], "record_shapes": True}
    if "on_trace_ready" not in arguments:
        folder = default_trace_folder(model_name)
        logger.info("The profiler's traces go to %s.", folder)
        arguments["on_trace_ready"] = tensorboard_trace_handler(str(folder))
    return arguments
