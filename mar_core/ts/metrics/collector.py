"""``ts.metrics.metric_collector``: logs how busy this machine and some processes are, once.

``python -m mar_core.ts.metrics.collector --gpu N`` does what TorchServe's script does: it reads one
line with the ids of processes, and writes metrics to standard output.
"""

from __future__ import annotations

import argparse
import logging
import sys

from mar_core.ts.metrics import system
from mar_core.ts.metrics.process_memory import check_process_mem_usage

__all__ = ["main"]


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
