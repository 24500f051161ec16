"""What one request brought."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mar_core import bad_item

__all__ = ["payload", "target_of"]

_MISSING = object()


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
