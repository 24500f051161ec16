"""``mar inspect``: to be written."""

from __future__ import annotations


def inspect() -> None:
    """To be written."""
    raise SystemExit("not written yet")
