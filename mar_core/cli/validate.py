"""``mar validate``: to be written."""

from __future__ import annotations


def validate() -> None:
    """To be written."""
    raise SystemExit("not written yet")
