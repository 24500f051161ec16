"""Model files that tests share: one network each."""

from __future__ import annotations
