"""What one request brought, and how to say what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from mar_core import PredictionException, reject_item

__all__ = ["BAD_REQUEST", "bad_item", "each", "payload", "target_of"]

BAD_REQUEST = 400
_MISSING = object()
_Result = TypeVar("_Result")


def payload(row: Any) -> Any:
    """What a request carries: its ``data``, else its ``body``; an envelope hands it over bare.

    Raises:
        PredictionException: It has neither, or it is empty.
    """
    value = row
    if isinstance(row, Mapping):
        value = next((row[key] for key in ("data", "body") if row.get(key) is not None), _MISSING)
    if value is _MISSING:
        names = ", ".join(map(repr, row)) or "nothing"
        raise bad_item(f"the request has {names}, where 'data' or 'body' is expected")
    if isinstance(value, (str, bytes, bytearray)) and not value:
        raise bad_item("the request is empty")
    return value


def target_of(row: Any) -> int | None:
    """The class that a request asks to have explained, or None.

    Raises:
        PredictionException: Its ``target`` is no number.
    """
    target = row.get("target") if isinstance(row, Mapping) else None
    if target is None:
        return None
    try:
        return int(target)
    except (TypeError, ValueError) as error:
        raise bad_item(f"its target is {target!r}, where a class number is expected") from error


def each(rows: Iterable[Any], read: Callable[[Any], _Result]) -> list[_Result]:
    """Read every request of a batch; one that cannot be read is left out, or named.

    Args:
        rows: The requests.
        read: Reads one.

    Returns:
        What was read, in order.

    Raises:
        PredictionException: A request cannot be read and nothing here can leave it out. The
            sentence says which item of the batch, and what is wrong with it.
    """
    rows = list(rows)
    results: list[_Result] = []
    for index, row in enumerate(rows):
        result = _attempt(read, row)
        if not isinstance(result, PredictionException):
            results.append(result)
        elif not reject_item(index, result):
            raise result if len(rows) == 1 else _named(result, index)
    return results


def bad_item(message: str) -> PredictionException:
    """The error of one request: the client's fault, as TorchServe would answer it."""
    return PredictionException(f"{message[0].upper()}{message[1:]}.", BAD_REQUEST)


def _attempt(read: Callable[[Any], _Result], row: Any) -> _Result | PredictionException:
    try:
        return read(row)
    except PredictionException as error:
        return error


def _named(error: PredictionException, index: int) -> PredictionException:
    message = f"Item {index} of the batch: {error.message}"
    return PredictionException(message, error.error_code)
