"""How the machine does, under the names of TorchServe's system metrics."""

from __future__ import annotations

import contextlib
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["gpus", "system"]

MEGA, GIGA = 1024**2, 1024**3


def system() -> Iterator[tuple[str, str, float]]:
    """Name, unit and value of each metric of the machine now.

    Memory is in megabytes and disks in gigabytes of 1024, as TorchServe counts.
    """
    import psutil

    yield "CPUUtilization", "Percent", psutil.cpu_percent()
    memory = psutil.virtual_memory()
    yield "MemoryUsed", "Megabytes", memory.used / MEGA
    yield "MemoryAvailable", "Megabytes", memory.available / MEGA
    yield "MemoryUtilization", "Percent", memory.percent
    disk = psutil.disk_usage("/")
    yield "DiskUsage", "Gigabytes", disk.used / GIGA
    yield "DiskAvailable", "Gigabytes", disk.free / GIGA
    yield "DiskUtilization", "Percent", disk.percent


def gpus() -> Iterator[tuple[int, str, str, float]]:
    """Number, name, unit and value of each metric of each GPU of NVIDIA's.

    Nothing where ``nvidia-ml-py`` or the driver is missing.
    """
    library = _nvml()
    if library is None:
        return
    for number in range(library.nvmlDeviceGetCount()):
        with contextlib.suppress(library.NVMLError):
            device = library.nvmlDeviceGetHandleByIndex(number)
            memory = library.nvmlDeviceGetMemoryInfo(device)
            rates = library.nvmlDeviceGetUtilizationRates(device)
            yield number, "GPUMemoryUsed", "Megabytes", memory.used / MEGA
            yield number, "GPUMemoryUtilization", "Percent", 100 * memory.used / memory.total
            yield number, "GPUUtilization", "Percent", float(rates.gpu)


@cache
def _nvml() -> Any:
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # noqa: BLE001 - without a driver it raises what it likes; then there are none
        return None
    return pynvml
