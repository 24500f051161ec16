"""Ray Data's view of a run's inputs: a stream of chunk numbers."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import ray
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NUMBER", "ChunkSource"]

NUMBER = "number"


class ChunkSource(Datasource):  # type: ignore[misc]
    """One reading task that goes on as long as there are chunks.

    Args:
        feed: Knows the chunks.
    """

    def __init__(self, feed: Any) -> None:
        super().__init__()
        self._feed = feed

    def estimate_inmemory_data_size(self) -> int | None:
        """Nobody knows how many inputs there are."""
        return None

    def get_read_tasks(
        self,
        parallelism: int,  # noqa: ARG002 - Ray's signature
        per_task_row_limit: int | None = None,  # noqa: ARG002
        data_context: Any = None,  # noqa: ARG002
    ) -> list[ReadTask]:
        """The one task."""
        nothing = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(functools.partial(_numbers, self._feed), nothing)]


def _numbers(feed: Any) -> Iterator[pa.Table]:
    """A block for each chunk, as soon as it is there."""
    for number in itertools.count():
        if not ray.get(feed.has.remote(number)):
            return
        yield pa.table({NUMBER: [number]})
