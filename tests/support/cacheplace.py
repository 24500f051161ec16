"""A cache of a test's own, whose entries nobody uses when it is over."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from mar_core.cache import entries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

__all__ = ["let_go", "own_cache"]


@contextlib.contextmanager
def own_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Point the cache into a folder; where its entries are."""
    monkeypatch.setenv("MAR_CACHE_DIR", str(folder / "cache"))
    yield folder / "cache" / "unpacked-1"
    let_go()


def let_go() -> None:
    """Use none of its entries any more, as a process that ends."""
    for descriptor in entries._held.values():
        os.close(descriptor)
    entries._held.clear()
