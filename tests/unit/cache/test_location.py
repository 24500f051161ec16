"""Where the cache lies: where it always lay, named or not."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from mar_core import ArchiveError, UsageError
from mar_core.cache.location import (
    bound,
    cache_folder,
    memory_place,
    prepared_memory,
    prepared_place,
    prepared_root,
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("MAR_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def homeless(home, monkeypatch):
    """As in a container that is run under a user whom it does not know."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)


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
@pytest.mark.parametrize("forbidden", [os.W_OK, os.X_OK])
def test_where_none_can_be_made(home, monkeypatch, forbidden):
    (home / ".cache").write_text("a file")
    closed = home / ".cache"
    monkeypatch.setattr(
        "os.access", lambda path, asked: Path(path) != closed or not asked & forbidden
    )
    assert cache_folder().is_relative_to(tempfile.gettempdir())
    assert cache_folder().parent.name.startswith("mar-")


@pytest.mark.skipif(sys.platform != "linux", reason="each system has its own")
@pytest.mark.parametrize("older", [True, False])
def test_without_a_home_that_can_be_told_it_does_not_depend_on_where_one_stands(
    homeless, monkeypatch, older
):
    if older:  # they give a path that is relative
        monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: Path("~/.cache/mar"))
    assert cache_folder().is_relative_to(tempfile.gettempdir())


@pytest.mark.skipif(sys.platform != "linux", reason="each system has its own")
def test_where_no_disk_takes_temporary_files_it_is_in_memory(homeless, monkeypatch):
    def nowhere():
        raise FileNotFoundError

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    assert cache_folder() == Path(f"/dev/shm/mar-{os.getuid()}/unpacked-1")


def test_it_is_made_for_its_owner_alone(home, monkeypatch):
    root = home / "deep" / "cache"
    monkeypatch.setenv("MAR_CACHE_DIR", str(root))
    assert prepared_place() == root / "unpacked-1"
    for folder in (root, root / "unpacked-1"):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert (root / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f0688")
    (root / "CACHEDIR.TAG").write_text("mine")
    assert prepared_root() == root
    assert (root / "CACHEDIR.TAG").read_text() == "mine"


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
@pytest.mark.parametrize("inner", [True, False])
def test_where_others_may_write_nothing_is_put(home, monkeypatch, mode, inner):
    monkeypatch.setenv("MAR_CACHE_DIR", str(home / "cache"))
    folder = prepared_place()
    (folder if inner else folder.parent).chmod(mode)
    with pytest.raises(ArchiveError, match="Others may write to the cache folder"):
        prepared_place()
    (folder if inner else folder.parent).chmod(0o755)  # they may look
    assert prepared_place() == folder


@pytest.mark.skipif(os.geteuid() != 0, reason="folders of others are made by root alone")
def test_nothing_is_put_into_another_users_folder(home, monkeypatch):
    monkeypatch.setenv("MAR_CACHE_DIR", str(home / "cache"))
    os.chown(prepared_place(), 12345, -1)
    with pytest.raises(ArchiveError, match="belongs to another user"):
        prepared_place()


def test_a_folder_that_cannot_be_made(home, monkeypatch):
    (home / "cache").write_text("a file")
    monkeypatch.setenv("MAR_CACHE_DIR", str(home / "cache"))
    with pytest.raises(ArchiveError, match=r"cannot be made: File exists\. Name another one"):
        prepared_root()


def test_the_folder_in_memory_is_one_for_each_cache(home, monkeypatch):
    monkeypatch.setenv("MAR_CACHE_DIR", str(home / "a"))
    first = memory_place()
    assert first.parent.parent == Path("/dev/shm")
    assert first.parent.name.startswith(f"mar-{os.getuid()}-")
    monkeypatch.setenv("MAR_CACHE_DIR", str(home / "b"))
    assert memory_place() != first
    monkeypatch.setattr("mar_core.cache.location._MEMORY", str(home))
    folder = prepared_memory()
    assert folder == memory_place()
    assert folder.parent.parent == home
    for part in (folder, folder.parent):
        assert part.stat().st_mode & 0o777 == 0o700
        part.chmod(0o777)
        with pytest.raises(ArchiveError, match="Others may write"):
            prepared_memory()
        part.chmod(0o700)


def test_how_much_it_may_hold(monkeypatch):
    monkeypatch.delenv("MAR_CACHE_SIZE", raising=False)
    assert bound() == 20 << 30
    monkeypatch.setenv("MAR_CACHE_SIZE", "3M")
    assert bound() == 3 << 20
    monkeypatch.setenv("MAR_CACHE_SIZE", "much")
    with pytest.raises(UsageError, match="MAR_CACHE_SIZE"):
        bound()
