"""Fixtures for plugin authors."""

from __future__ import annotations
