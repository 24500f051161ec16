"""``mar diff``: to be written."""

from __future__ import annotations


def diff() -> None:
    """To be written."""
    raise SystemExit("not written yet")
