"""What a handler must return: a list with one result for each request."""

from __future__ import annotations

from typing import Any

from mar_core.errors import HandlerError
from mar_core.text import plural

__all__ = ["check_results"]


def check_results(results: Any, *, expected: int, handler: str) -> list[Any]:
    """Check what a handler returned for a batch.

    Args:
        results: What it returned.
        expected: How many requests there were.
        handler: The handler's name, for the sentence.

    Returns:
        The same list.

    Raises:
        HandlerError: It is not a list, or not of that length.
    """
    wanted = f"it must return a list with one result for each request, here {expected}."
    if not isinstance(results, list):
        got = "None" if results is None else f"a {type(results).__name__}"
        raise HandlerError(
            f"{handler} returned {got}; {wanted}",
            stage="result",
            handler=handler,
            public="Invalid model predict output",
        )
    if len(results) != expected:
        raise HandlerError(
            f"{handler} returned {len(results)} {plural(len(results), 'result')} for "
            f"{expected} {plural(expected, 'request')}; {wanted}",
            stage="result",
            handler=handler,
            public="number of batch response mismatched",
        )
    return results
