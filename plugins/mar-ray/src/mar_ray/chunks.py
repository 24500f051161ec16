"""From a stream of inputs to chunks: what one call of an actor answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mar_core import read_model_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mar_core import Input, Recipe

__all__ = ["Chunker", "batch_size_of"]

# Long enough that the scheduler costs nothing, short enough that the last one keeps nobody waiting.
SECONDS = 1.0
MOST_INPUTS = 4096
MOST_BYTES = 16 << 20
GROWTH = 2
# How many inputs begin together where the batch size is to be found out.
FIRST = 16


class Chunker:
    """Cuts inputs into chunks of whole batches, each about a second of work for its actor.

    Whole batches, so that the same inputs meet in a batch as on one machine.

    Args:
        inputs: The inputs.
        batch: Inputs in a batch, or ``auto``.
    """

    def __init__(self, inputs: Iterable[Input], *, batch: int | Literal["auto"]) -> None:
        self._inputs = iter(inputs)
        self._batch = 1 if batch == "auto" else batch
        self._size = FIRST if batch == "auto" else batch

    def __iter__(self) -> Iterator[list[Input]]:
        while chunk := self._next():
            yield chunk

    def learn(self, count: int, seconds: float) -> None:
        """Take note of how long a chunk took."""
        wanted = int(count * SECONDS / max(seconds, 1e-6))
        wanted = max(self._size // GROWTH, min(wanted, self._size * GROWTH, MOST_INPUTS))
        self._size = max(1, wanted // self._batch) * self._batch

    def _next(self) -> list[Input]:
        chunk: list[Input] = []
        bytes_held = 0
        for source in self._inputs:
            chunk.append(source)
            bytes_held += source.size or 0
            full = len(chunk) >= self._size or bytes_held >= MOST_BYTES
            if full and len(chunk) % self._batch == 0:
                break
        return chunk


def batch_size_of(recipe: Recipe) -> int:
    """The batch size that the archive, or who runs it, wishes for."""
    if recipe.batch_size:
        return recipe.batch_size
    with recipe.open() as archive:
        size = read_model_config(archive).get("batchSize")
    return size if isinstance(size, int) and size > 0 else 1
