"""``ts.metrics.process_memory_metric``: the memory that processes use."""

from __future__ import annotations

import logging
from typing import TextIO

__all__ = ["check_process_mem_usage", "get_cpu_usage"]

logger = logging.getLogger(__name__)


def get_cpu_usage(pid: str | int) -> int:
    """The resident memory of a process in bytes; 0 where there is no such process.

    Raises:
        ModuleNotFoundError: psutil is not installed.
    """
    import psutil

    try:
        return int(psutil.Process(int(pid)).memory_info().rss)
    except psutil.Error:
        logger.exception("The memory of process %s cannot be read.", pid)
        return 0


def check_process_mem_usage(stdin: TextIO) -> None:
    """Log the memory of the processes whose ids one line lists, with commas between them."""
    for pid in filter(None, stdin.readline().strip().split(",")):
        logger.info("%s:%d", pid, get_cpu_usage(pid))
