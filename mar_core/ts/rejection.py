"""Leaving one request out of a batch while its batch goes on."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["reject_item", "rejections"]

_rejected: ContextVar[dict[int, Exception] | None] = ContextVar("_rejected", default=None)


def reject_item(index: int, error: Exception) -> bool:
    """Say, from within ``preprocess``, that one request cannot be answered.

    The run reports it and goes on with what ``preprocess`` returns for the others: nothing is read
    or computed twice, as it is when ``preprocess`` raises.

    Args:
        index: The request's place in the batch.
        error: What is wrong with it.

    Returns:
        Whether the request may be left out. Where not, raise the error: the handler's stages may
        share more than the data that they hand on, or nothing runs them one by one.

    Example:
        >>> for index, row in enumerate(data):
        ...     try:
        ...         rows.append(self.read(row))
        ...     except PredictionException as error:
        ...         if not reject_item(index, error):
        ...             raise
    """
    rejected = _rejected.get()
    if rejected is None:
        return False
    rejected[index] = error
    return True


@contextmanager
def rejections() -> Iterator[dict[int, Exception]]:
    """Let a handler leave requests out; yields what is wrong with each, by its place."""
    rejected: dict[int, Exception] = {}
    token = _rejected.set(rejected)
    try:
        yield rejected
    finally:
        _rejected.reset(token)
