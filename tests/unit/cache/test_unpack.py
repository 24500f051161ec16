"""Unpacking writes new files of ours alone, and says what is in its way."""

from __future__ import annotations

import errno
import shutil
from types import SimpleNamespace

import pytest
from memory_archive import files, write_zip

from mar_core import ArchiveError, open_archive
from mar_core.cache.unpack import check_room, failure, no_room, unpack


@pytest.fixture
def packed(tmp_path):
    large = {"deep/large.bin": bytes(9 << 20), "deep/empty.bin": b""}
    with open_archive(write_zip(tmp_path / "m.mar", files(large))) as archive:
        yield archive


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "entry"
    folder.mkdir()
    return folder


def test_what_is_unpacked_is_for_its_owner_alone(packed, folder):
    unpack(packed, packed.members.values(), folder)
    for name in packed.members:
        assert (folder / name).read_bytes() == packed.read(name)
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert (folder / "deep").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("how", ["file", "link", "dangling"])
def test_nothing_that_stands_there_is_written_over(packed, folder, tmp_path, how):
    other = tmp_path / "other"
    if how != "dangling":
        other.write_text("mine")
    target = folder / "handler.py"
    if how == "file":
        target.write_text("mine")
    else:
        target.symlink_to(other)
    with pytest.raises(ArchiveError, match=r"could not be unpacked to .*: File exists"):
        unpack(packed, packed.members.values(), folder)
    assert other.exists() == (how != "dangling")
    assert how == "dangling" or target.read_text() == "mine"


@pytest.mark.parametrize("needed", [0, 10, 64 << 20, 1 << 30])
def test_there_is_room_for_it_and_a_little_more(tmp_path, monkeypatch, needed):
    more = min(needed, 64 << 20)
    for free, enough in ((needed + more, True), (needed + more - 1, False)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        assert check_room(tmp_path, needed) == enough
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1234))
    assert f"needs 5,678 bytes in {tmp_path}, where 1,234 are free" in str(no_room(tmp_path, 5678))


def test_a_full_disk_is_said_to_be_full(tmp_path):
    for code in (errno.ENOSPC, errno.EDQUOT):
        assert "The disk is full" in str(failure(tmp_path, OSError(code, "x")))
    refused = str(failure(tmp_path, PermissionError(errno.EACCES, "Permission denied")))
    assert refused == f"The archive could not be unpacked to {tmp_path}: Permission denied."
