"""Where the cache lies: where it always lay, named or not."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

from mar_core.cache.location import cache_folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("MAR_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_folder_that_is_named(home, monkeypatch):
    monkeypatch.setenv("MAR_CACHE_DIR", "here")
    assert cache_folder() == Path.cwd() / "here" / "unpacked-1"


@pytest.mark.skipif(sys.platform != "linux", reason="each system has its own")
def test_the_systems_folder(home, monkeypatch):
    assert cache_folder() == home / ".cache" / "mar" / "unpacked-1"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "mine"))
    assert cache_folder() == home / "mine" / "mar" / "unpacked-1"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == home / ".cache" / "mar" / "unpacked-1"


@pytest.mark.skipif(sys.platform != "linux", reason="each system has its own")
def test_where_none_can_be_made(home, monkeypatch):
    (home / ".cache").write_text("a file")
    monkeypatch.setattr("os.access", lambda path, _: Path(path) != home / ".cache")
    assert cache_folder().is_relative_to(tempfile.gettempdir())
    assert cache_folder().parent.name.startswith("mar-")
