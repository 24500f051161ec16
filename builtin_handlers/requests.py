"""What one request brought."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mar_core import bad_item

__all__ = ["target_of"]


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
