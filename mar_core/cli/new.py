"""``mar new``: to be written."""

from __future__ import annotations


def new() -> None:
    """To be written."""
    raise SystemExit("not written yet")
