"""How many cores there are, and how many of them PyTorch takes in a thread."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["cores", "keeping_threads", "use_threads"]


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
