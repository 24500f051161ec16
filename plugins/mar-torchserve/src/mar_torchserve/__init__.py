"""The command ``torchserve``, on top of ``mar serve``."""

from __future__ import annotations

__all__: list[str] = []
