"""``mar update``: to be written."""

from __future__ import annotations


def update() -> None:
    """To be written."""
    raise SystemExit("not written yet")
