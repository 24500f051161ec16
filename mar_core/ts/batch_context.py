"""Which batch a handler works on here: its stages may work on several at once, in threads."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["context_at_work", "working_on"]

_at_work: ContextVar[tuple[object, Any] | None] = ContextVar("_at_work", default=None)


def context_at_work(handler: object) -> Any:
    """The context of the batch that a handler works on in this thread; None where it does not."""
    found = _at_work.get()
    return found[1] if found is not None and found[0] is handler else None


@contextmanager
def working_on(handler: object, context: Any) -> Iterator[None]:
    """Have a handler's ``context`` be that of the batch, whatever other threads work on.

    Args:
        handler: The handler.
        context: The context of the batch.
    """
    token = _at_work.set((handler, context))
    try:
        yield
    finally:
        _at_work.reset(token)
