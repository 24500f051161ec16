"""Modules of TorchServe's that have no other place in mar; handlers import them as ``ts.*``."""

from __future__ import annotations
