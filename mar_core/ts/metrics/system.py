"""``ts.metrics.system_metrics``: how busy this machine is. Needs psutil; GPUs by PyTorch."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any

from mar_core.ts.metrics.legacy import Metric
from mar_core.ts.metrics.metric import Dimension

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "collect_all", "collect_gpu_metrics", "cpu_utilization", "dimension", "disk_available",
    "disk_used", "disk_utilization", "gpu_utilization", "memory_available", "memory_used",
    "memory_utilization", "system_metrics",
]  # fmt: skip

logger = logging.getLogger(__name__)

MEGABYTE, GIGABYTE = 1024**2, 1024**3

system_metrics: list[Metric] = []
dimension = [Dimension("Level", "Host")]


def cpu_utilization() -> None:
    """Note how busy the processors are, in percent."""
    import psutil

    _note("CPUUtilization", psutil.cpu_percent(), "percent")


def memory_used() -> None:
    """Note the memory in use, in MB."""
    import psutil

    _note("MemoryUsed", psutil.virtual_memory().used / MEGABYTE, "MB")


def memory_available() -> None:
    """Note the memory that is free, in MB."""
    import psutil

    _note("MemoryAvailable", psutil.virtual_memory().available / MEGABYTE, "MB")


def memory_utilization() -> None:
    """Note how much of the memory is in use, in percent."""
    import psutil

    _note("MemoryUtilization", psutil.virtual_memory().percent, "percent")


def disk_used() -> None:
    """Note the space in use on ``/``, in GB."""
    import psutil

    _note("DiskUsage", psutil.disk_usage("/").used / GIGABYTE, "GB")


def disk_utilization() -> None:
    """Note how much of ``/`` is in use, in percent."""
    import psutil

    _note("DiskUtilization", psutil.disk_usage("/").percent, "percent")


def disk_available() -> None:
    """Note the space that is free on ``/``, in GB."""
    import psutil

    _note("DiskAvailable", psutil.disk_usage("/").free / GIGABYTE, "GB")


def collect_gpu_metrics(num_of_gpus: int | None) -> None:
    """Note the memory and the load of each NVIDIA or AMD GPU, as far as PyTorch can tell.

    Args:
        num_of_gpus: How many there are.
    """
    if not num_of_gpus or num_of_gpus < 0:
        return
    import torch

    for number in range(num_of_gpus):
        where = [*dimension, Dimension("device_id", number)]
        free, total = torch.cuda.mem_get_info(number)
        used = (total - free) // MEGABYTE
        system_metrics.append(Metric("GPUMemoryUsed", used, "MB", where))
        for name, measure in (
            ("GPUMemoryUtilization", torch.cuda.memory_usage),
            ("GPUUtilization", torch.cuda.utilization),
        ):
            try:
                system_metrics.append(Metric(name, measure(number), "percent", where))
            except (RuntimeError, ModuleNotFoundError) as error:  # without the vendor's library
                logger.warning("%s of GPU %d is not known: %s", name, number, error)


gpu_utilization = collect_gpu_metrics


def collect_all(mod: ModuleType, num_of_gpus: int | None) -> None:
    """Call every function that a module defines, and log what they noted here.

    Args:
        mod: The module: this one, or one of your own whose functions append to ``system_metrics``.
        num_of_gpus: Given to ``collect_gpu_metrics`` and ``gpu_utilization``; the other functions
            take nothing.
    """
    functions = {
        function: name
        for name, function in sorted(vars(mod).items())
        if inspect.isfunction(function) and not name.startswith("_") and name != "collect_all"
    }
    for function, name in functions.items():
        if name in {"collect_gpu_metrics", "gpu_utilization"}:
            function(num_of_gpus)
        else:
            function()
    for metric in system_metrics:
        logger.info("%s", metric)
    logger.info("")


def _note(name: str, value: Any, unit: str) -> None:
    system_metrics.append(Metric(name, value, unit, dimension))
