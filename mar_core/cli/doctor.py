"""``mar doctor``: to be written."""

from __future__ import annotations


def doctor() -> None:
    """To be written."""
    raise SystemExit("not written yet")
