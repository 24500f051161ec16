"""From a stream of inputs to batches: how large, and of which neighbours."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mar_core.run.types import Input

__all__ = ["NumberedBatch", "fixed_batches"]

NumberedBatch = list[tuple[int, "Input"]]


def fixed_batches(inputs: Iterable[Input], size: int) -> Iterator[NumberedBatch]:
    """Cut a stream into batches of one size; each input carries its place in the run."""
    numbered = enumerate(inputs)
    while batch := list(itertools.islice(numbered, size)):
        yield batch
