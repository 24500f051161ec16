"""What an entry of the cache holds, and how it is told from what somebody has put there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mar_core.cache import entry
from mar_core.cache.entry import FILES, NEW, NOTE, OLD
from mar_core.format import locks


@pytest.fixture
def made(tmp_path):
    """An entry with a file, a file in a folder, and a link."""
    folder = tmp_path / "place" / "mar-1"
    (folder / FILES / "sub").mkdir(parents=True)
    for name in ("a.txt", "sub/b.txt"):
        (folder / FILES / name).write_text("text")
    (tmp_path / "target").write_text("where it lies")
    (folder / FILES / "link").symlink_to(tmp_path / "target")
    entry.write_note(folder, name="m", source="m.mar")
    return folder


def descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_what_is_as_noted_is_sound(made, tmp_path):
    assert entry.is_noted(made)
    assert entry.is_sound(made)
    assert entry.is_whole(made)
    assert entry.changed_files(made) == entry.strangers(made) == []
    assert entry.member_names(made) == {"a.txt", "sub/b.txt", "link"}
    (told,) = entry.entries_in(made.parent)
    assert (told.members, told.size) == (3, 8)
    assert entry.member_names(tmp_path) == frozenset()
    assert not entry.is_noted(tmp_path)
    assert not entry.is_sound(tmp_path)


def another_content(path, tmp_path):
    path.write_text("else")


def a_link(path, tmp_path):
    (tmp_path / "other").write_text("text")
    path.unlink()
    path.symlink_to(tmp_path / "other")


def a_pipe(path, tmp_path):
    path.unlink()
    os.mkfifo(path)


def another_owner(path, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("files of others are made by root alone")
    os.chown(path, 12345, -1)


def gone(path, tmp_path):
    path.unlink()


@pytest.mark.parametrize("change", [another_content, a_link, a_pipe, another_owner, gone])
def test_what_is_not_as_noted_is_not_sound(made, tmp_path, change):
    path = made / FILES / "sub" / "b.txt"
    change(path, tmp_path)
    assert not entry.is_sound(made)
    assert not entry.is_whole(made)
    assert entry.changed_files(made) == ([] if change is gone else [path])


@pytest.mark.parametrize("change", [a_pipe, another_owner])
def test_what_was_strange_is_not_made_sound_by_what_is(made, tmp_path, change):
    path = made / FILES / "a.txt"
    before = path.stat()
    change(path, tmp_path)
    assert entry.changed_files(made) == [path]
    entry.write_note(made, name="m", source="m.mar")
    path.unlink()
    path.write_text("text")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not entry.is_sound(made)


def test_a_link_that_leads_elsewhere_is_another(made):
    link = made / FILES / "link"
    link.unlink()
    link.symlink_to("/etc/hosts")
    assert entry.changed_files(made) == [link]


def planted(made, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.txt").write_text("mine")
    (made / FILES / "sub" / "__pycache__").mkdir()
    (made / FILES / "sub" / "__pycache__" / "b.pyc").write_text("x")
    (made / FILES / "c.txt").write_text("x")
    (made / FILES / "folder").symlink_to(tmp_path / "mine")
    return {made / FILES / name for name in ("sub/__pycache__", "c.txt", "folder")}


def test_strangers_are_found_and_taken_out_unless_it_is_in_use(made, tmp_path):
    assert entry.clean(made)
    strange = planted(made, tmp_path)
    assert set(entry.strangers(made)) == strange
    assert entry.is_sound(made)
    assert not entry.is_whole(made)
    used, before = locks.hold(made), descriptors()
    assert not entry.clean(made)
    assert set(entry.strangers(made)) == strange
    os.close(used)
    assert entry.clean(made)
    assert descriptors() == before - 1
    assert entry.is_whole(made)
    assert (tmp_path / "mine" / "x.txt").read_text() == "mine"


def test_without_a_note_all_is_strange(made):
    (made / NOTE).unlink()
    found = {path.name for path in entry.strangers(made)}
    assert found == {"a.txt", "sub", "link"}
    assert entry.changed_files(made) == []


def test_strangers_that_cannot_be_taken_out_stay_and_are_told(made, tmp_path, monkeypatch):
    planted(made, tmp_path)

    def full(path):
        raise PermissionError

    monkeypatch.setattr(shutil, "rmtree", full)
    before = descriptors()
    assert not entry.clean(made)
    assert descriptors() == before


def test_an_entry_goes_whole_unless_it_is_in_use(made, monkeypatch):
    used, before = locks.hold(made), descriptors()
    assert not entry.remove(made)
    assert entry.is_whole(made)
    os.close(used)
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", lambda *_: Path("/nowhere/at/all").stat())
        assert not entry.remove(made)
    assert entry.is_whole(made)
    assert entry.remove(made)
    assert descriptors() == before - 1
    for path in entry.leftovers(made.parent):  # of the try that failed
        assert list(path.iterdir()) == []
    assert not entry.remove(made)


def test_what_is_a_leftover_and_what_is_no_entry(made, tmp_path):
    place = made.parent
    for name in (f"{NEW}1", f"{OLD}1", "mar-without-a-note", ".other"):
        (place / name).mkdir()
    (place / "file").write_text("")
    (place / "mar-link").symlink_to(made)
    (place / "mar-bare").symlink_to(tmp_path)
    found = {path.name for path in entry.leftovers(place)}
    assert found == {f"{NEW}1", f"{OLD}1", "mar-without-a-note"}
    (told,) = entry.entries_in(place)
    assert told.to_dict() == {
        "path": str(made), "name": "m", "source": "m.mar", "members": 3, "size": 8,
        "last_used": told.last_used, "kind": "archive", "digest": "1", "compiled": False,
        "in_use": False,
    }  # fmt: skip
    assert entry.entries_in(place / "none") == entry.leftovers(place / "none") == []


def test_members_that_come_later_are_noted_and_strangers_are_not(made):
    for name in ("later.txt", "strange.txt"):
        (made / FILES / name).write_text("more")
    entry.note_more(made, ["later.txt"])
    assert entry.member_names(made) == {"a.txt", "sub/b.txt", "link", "later.txt"}
    assert [path.name for path in entry.strangers(made)] == ["strange.txt"]
