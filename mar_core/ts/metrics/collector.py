"""``ts.metrics.metric_collector`` and ``process_memory_metric``: how busy this machine is, once.

``python -m mar_core.ts.metrics.collector --gpu N`` does what TorchServe's script does: it reads one
line with the ids of processes, and writes metrics to standard output.
"""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TextIO

from mar_core.ts.metrics import system

__all__ = ["check_process_mem_usage", "get_cpu_usage", "main"]

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


def main() -> None:
    """Write the metrics of this machine, and the memory of the processes named on stdin."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gpu", type=int, help="number of GPUs")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    system.collect_all(system, arguments.gpu)
    check_process_mem_usage(sys.stdin)


if __name__ == "__main__":
    main()
