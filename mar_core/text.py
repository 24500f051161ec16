"""What is printed: sizes as people read them."""

from __future__ import annotations

__all__ = ["size_in_words"]

_STEP = 1024


def size_in_words(count: int) -> str:
    """A number of bytes, such as ``3.4 MiB``."""
    size, units = float(count), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while size >= _STEP and len(units) > 1:
        size, units = size / _STEP, units[1:]
    return f"{count} bytes" if units[0] == "bytes" else f"{size:.1f} {units[0]}"
