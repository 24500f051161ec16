"""A run of an archive that was unpacked before writes nothing, and is still known as the last."""

from __future__ import annotations

import os
import time

import pytest

from mar_core import open_archive
from mar_core.cache import entries as cache
from mar_core.testing import make_archive


@pytest.fixture
def used(tmp_path, monkeypatch):
    """An archive that was used once, and when its cache entry says that it was."""
    monkeypatch.setenv("MAR_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "handler.py").write_text("def handle(data, context):\n    return data\n")
    made = make_archive(tmp_path, handler=tmp_path / "handler.py")

    def use():
        with open_archive(made) as archive:
            cache.unpacked(archive)
        (entry,) = cache.entries()
        return entry.last_used

    use()
    return use


def set_back(tmp_path, seconds):
    (note,) = (tmp_path / "cache").rglob("entry.json")
    then = round(time.time() - seconds)
    os.utime(note, (then, then))
    return then


def test_a_use_soon_after_another_writes_nothing(used, tmp_path):
    then = set_back(tmp_path, 60)
    assert used() == then


def test_a_later_use_is_noted(used, tmp_path):
    then = set_back(tmp_path, 2 * 3600)
    assert used() > then
