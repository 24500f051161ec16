"""Workflows: models and functions that feed each other, as TorchServe served them."""

from __future__ import annotations
