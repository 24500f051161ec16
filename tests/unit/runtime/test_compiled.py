"""What was compiled for a model is kept, and only what our own mar has noted reaches a compiler."""

from __future__ import annotations

import json
import os
import time

import pytest

from mar_core.cache import entries as cache
from mar_core.errors import ArchiveError
from mar_core.format import locks
from mar_core.runtime.compiling import SETTLED_SECONDS, CompiledCode


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("MAR_CACHE_DIR", str(tmp_path / "cache"))


def opened(digest="d1", made_for="cpu, torch 2"):
    return CompiledCode(digest, made_for, name="m")


def write(code, name, content="code"):
    path = code.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def test_a_second_start_finds_what_the_first_has_compiled():
    code = opened()
    path = write(code, "ab/x.so")
    code.close()
    again = opened()
    assert again.path == code.path
    assert path.read_text() == "code"
    again.close()


def test_the_archive_and_what_it_was_made_for_name_it():
    places = {opened(d, m).path for d in ("d1", "d2") for m in ("cpu, torch 2", "H100, torch 2")}
    assert len(places) == 4


def test_what_has_changed_is_removed_with_a_warning(caplog):
    code = opened()
    changed, sound = write(code, "x.so"), write(code, "y.so")
    code.close()
    changed.write_text("other code")
    opened().close()
    assert (changed.exists(), sound.exists()) == (False, True)
    assert "changed since" in caplog.text


def test_what_nobody_has_noted_is_removed(caplog, tmp_path):
    """What a killed compiler has left half-written, and what somebody else has put there."""
    code = opened()
    write(code, "x.so")
    code.close()
    planted = [write(code, "y.so"), write(code, "new/z.so")]
    (code.path / "link").symlink_to("/etc/passwd")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "z.txt").write_text("mine")
    (code.path / "folder").symlink_to(mine)
    opened().close()
    assert [path for path in planted if path.exists()] == []
    assert (mine / "z.txt").read_text() == "mine"
    assert sorted(path.name for path in code.path.iterdir()) == ["x.so"]
    assert caplog.messages == []


@pytest.mark.parametrize("note", ["", "{", "[]", '{"members": 3}'])
def test_without_a_readable_note_it_begins_anew(note):
    code = opened()
    path = write(code, "x.so")
    code.close()
    (code.path.parent / "entry.json").write_text(note)
    again = opened()
    assert not path.exists()
    assert again.path.is_dir()
    assert [entry.path for entry in cache.entries()] == [again.path.parent]
    again.close()


def test_while_others_use_it_an_entry_without_a_note_stays_and_nothing_is_left_beside_it():
    first = opened()
    path = write(first, "x.so")
    (first.path.parent / "entry.json").unlink()
    second = opened()
    assert path.exists()
    assert list(first.path.parent.parent.iterdir()) == [first.path.parent]
    for code in (first, second):
        code.close()


def test_an_entry_that_somebody_takes_away_again_and_again_is_given_up():
    code = opened()
    code.close()
    taken = locks.try_exclusive(code.path.parent)
    with pytest.raises(BlockingIOError, match="taken away"):
        opened()
    os.close(taken)
    opened().close()


def test_a_note_is_written_for_what_is_new_and_by_nobody_who_has_let_go():
    code = opened()
    write(code, "x.so")
    code.note()
    note = code.path.parent / "entry.json"
    before = note.stat()
    code.note()
    assert note.stat().st_ino == before.st_ino
    code.close()
    old = time.time() - 2 * SETTLED_SECONDS
    os.utime(write(code, "planted.so"), (old, old))
    code.note()
    assert note.stat().st_ino == before.st_ino


def test_an_entry_that_is_taken_away_meanwhile_is_not_noted(monkeypatch):
    """Whoever has made another in its place may have put other files there."""
    code = opened()
    write(code, "x.so")
    note = code.path.parent / "entry.json"
    before = note.stat()
    monkeypatch.setattr(locks, "hold", lambda _: None)
    code.close()
    assert note.stat().st_ino == before.st_ino


def test_a_start_counts_as_a_use():
    code = opened()
    code.close()
    os.utime(code.path.parent / "entry.json", (1, 1))
    opened().close()
    (entry,) = cache.entries()
    assert entry.last_used > 1_000_000_000


def test_the_compilers_locks_may_change():
    code = opened()
    lock = write(code, "locks/x.lock", "")
    code.close()
    noted = json.loads((code.path.parent / "entry.json").read_text())["members"]
    assert noted == {}
    assert lock.exists()


def test_two_at_once_leave_each_others_files_alone():
    first, second = opened(), opened()
    path = write(first, "x.so")
    second.note()  # the first may still be writing it
    noted = json.loads((first.path.parent / "entry.json").read_text())["members"]
    assert noted == {}
    old = time.time() - 2 * SETTLED_SECONDS
    os.utime(path, (old, old))
    second.note()
    noted = json.loads((first.path.parent / "entry.json").read_text())["members"]
    assert list(noted) == ["x.so"]
    third = opened()
    assert path.exists()
    for code in (first, second, third):
        code.close()


def test_it_is_listed_and_cleared_unless_it_is_in_use():
    code = opened()
    write(code, "x.so", "12345")
    code.note()
    (entry,) = cache.entries()
    assert (entry.name, entry.compiled, entry.size, entry.in_use) == ("m", True, 5, True)
    assert cache.clear() == []
    code.close()
    assert [one.path for one in cache.clear()] == [code.path.parent]
    assert cache.entries() == []


def test_a_place_where_others_may_write_is_refused(tmp_path):
    opened().close()
    (tmp_path / "cache" / "unpacked-1").chmod(0o777)
    with pytest.raises(ArchiveError, match="Others may write"):
        opened()
