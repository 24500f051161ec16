"""A Ray cluster of two nodes on this machine, until standard input ends.

Prints its address. The line ``kill`` ends the second node without a warning.
"""

from __future__ import annotations

import logging
import sys

from ray.cluster_utils import Cluster


def main() -> None:
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    second = cluster.add_node(num_cpus=1, num_gpus=1)
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(second, allow_graceful=False)
            print("killed", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
