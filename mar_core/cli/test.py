"""``mar test``: to be written."""

from __future__ import annotations


def test() -> None:
    """To be written."""
    raise SystemExit("not written yet")
