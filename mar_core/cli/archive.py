"""``mar archive``: to be written."""

from __future__ import annotations


def archive() -> None:
    """To be written."""
    raise SystemExit("not written yet")
