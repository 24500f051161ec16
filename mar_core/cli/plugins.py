"""``mar plugins``: to be written."""

from __future__ import annotations


def plugins() -> None:
    """To be written."""
    raise SystemExit("not written yet")
