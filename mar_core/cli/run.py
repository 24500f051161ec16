"""``mar run``: to be written."""

from __future__ import annotations


def run() -> None:
    """To be written."""
    raise SystemExit("not written yet")
