"""What this machine has for workers: GPUs and cores, known without importing torch."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.ts.device import wanted_ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["cores", "count_gpus", "gpus_for", "keeping_threads", "use_threads"]

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


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # it may be held to some of them
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def keeping_threads() -> Iterator[int | None]:
    """Put back, at the end, how many threads PyTorch uses here and in threads to come.

    Yields:
        That number, or None where PyTorch is not loaded.
    """
    torch = sys.modules.get("torch")
    number = torch.get_num_threads() if torch is not None else None
    try:
        yield number
    finally:
        use_threads(number)


def use_threads(number: int | None) -> None:
    """Let PyTorch use so many threads for what this thread computes.

    Args:
        number: How many; None changes nothing.
    """
    torch = sys.modules.get("torch")
    if torch is not None and number is not None:
        # A new thread begins with the number that any other has set last. Asking first makes it
        # take that number now, so that it does not take it later, in place of its own.
        torch.get_num_threads()
        torch.set_num_threads(number)
