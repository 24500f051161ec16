"""``mar cache``: to be written."""

from __future__ import annotations


def cache() -> None:
    """To be written."""
    raise SystemExit("not written yet")
