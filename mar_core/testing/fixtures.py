"""Fixtures for pytest, found by its ``pytest11`` entry point wherever mar is installed.

This module is imported by every test run of such an environment, so it imports nothing.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["mar_archive", "mar_plugin"]


@pytest.fixture
def mar_archive(tmp_path: Path) -> Callable[..., Path]:
    """Makes an archive in ``tmp_path``: ``mar_archive(handler="shout")``, as ``make_archive``."""
    from mar_core.testing import make_archive

    def make(**flags: Any) -> Path:
        return make_archive(tmp_path, **flags)

    return make


@pytest.fixture
def mar_plugin() -> Iterator[Callable[..., Any]]:
    """Makes an object a plugin until the end of the test: ``mar_plugin(Autocast())``."""
    from mar_core.testing import plugin

    with contextlib.ExitStack() as stack:
        yield lambda instance, **options: stack.enter_context(plugin(instance, **options))
