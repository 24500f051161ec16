"""The messages, made from the ``.proto`` files beside them by ``tests/generate_protos.py``."""

from __future__ import annotations
