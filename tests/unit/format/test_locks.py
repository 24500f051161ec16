"""Locks are on what stands under a name, and outlive nobody.

Temporary folders of weights go when they are done with, and when their process was killed.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading

import pytest

from mar_core.format import locks
from mar_core.format.locks import scratch_folder

KILLED = """
import os, signal, sys, tempfile
tempfile.tempdir = sys.argv[1]
from mar_core.format.locks import scratch_folder
with scratch_folder() as folder:
    (folder / "weights").write_bytes(b"x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("take", [locks.wait_exclusive, locks.try_exclusive, locks.hold])
@pytest.mark.parametrize("put_back", [True, False])
def test_what_was_replaced_meanwhile_is_not_locked(tmp_path, monkeypatch, take, put_back):
    path, real = tmp_path / "x.lock", locks._flock
    path.touch()

    def meanwhile(descriptor, **how):
        path.unlink()  # whoever has waited longer removes it when it is done
        if put_back:
            path.touch()
        return real(descriptor, **how)

    monkeypatch.setattr(locks, "_flock", meanwhile)
    assert take(path) is None
    monkeypatch.undo()
    path.touch()
    descriptor = take(path)
    assert descriptor is not None
    os.close(descriptor)


def test_one_thread_after_the_other(tmp_path):
    path, order = tmp_path / "m.mar", []
    path.write_text("1")

    def change(text):
        with locks.alone(path):
            order.append(text)
            new = tmp_path / text
            new.write_text(path.read_text() + text)
            new.replace(path)

    threads = [threading.Thread(target=change, args=(text,)) for text in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert path.read_text() == "1" + "".join(order)
    assert sorted(order) == list("abcdefgh")


def test_a_thread_does_not_wait_for_itself(tmp_path):
    path = tmp_path / "m.mar"
    path.write_text("1")
    with locks.alone(path), locks.alone(path):
        pass


def test_what_is_not_there_or_may_not_be_read_is_not_waited_for(tmp_path):
    with locks.alone(tmp_path / "gone"):
        pass


def test_the_living_keep_what_they_make(tmp_path):
    path = tmp_path / "partial"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    assert locks.keep(descriptor, path)
    locks.clear_away(path, os.unlink)
    assert path.exists()
    os.close(descriptor)
    locks.clear_away(path, os.unlink)
    assert not path.exists()


def test_what_was_cleared_away_is_not_kept(tmp_path):
    path = tmp_path / "partial"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    locks.clear_away(path, os.unlink)
    assert not locks.keep(descriptor, path)
    os.close(descriptor)


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "real").write_text("1")
    link = tmp_path / "link"
    link.symlink_to("real")
    locks.clear_away(link, os.unlink)
    assert link.is_symlink()


def locked(path, *, shared):
    """Whether another descriptor may take it, too; closed again."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_many_may_hold_what_one_may_not_take(tmp_path):
    first, second = locks.hold(tmp_path), locks.hold(tmp_path)
    assert None not in {first, second}
    assert locks.try_exclusive(tmp_path) is None
    assert locks.is_held(tmp_path)
    os.close(first)
    assert locks.is_held(tmp_path)
    os.close(second)
    assert not locks.is_held(tmp_path)
    taken = locks.try_exclusive(tmp_path)
    assert locked(tmp_path, shared=True)
    assert locks.hold(tmp_path) is None
    assert not os.get_inheritable(taken)
    os.close(taken)
    assert locks.hold(tmp_path / "none") is None
    assert not locks.is_held(tmp_path / "none")


def test_a_file_that_is_waited_for_is_made(tmp_path):
    path = tmp_path / "x.lock"
    descriptor = locks.wait_exclusive(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert locked(path, shared=True)
    taken = []
    waiting = threading.Thread(target=lambda: taken.append(locks.wait_exclusive(path)))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    os.close(descriptor)
    waiting.join(60)
    assert taken[0] is not None
    os.close(taken[0])
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        locks.wait_exclusive(link)
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_is_let_go_when_it_is_done_with(tmp_path):
    path = tmp_path / "m.mar"
    path.write_text("1")
    with pytest.raises(FileNotFoundError), locks.alone(path):
        (tmp_path / "none").unlink()
    assert not locked(path, shared=False)
    with locks.alone(path):  # nor does the thread think that it still has it
        assert locked(path, shared=True)


def test_what_somebody_has_is_not_cleared_away(tmp_path):
    path, removed = tmp_path / "partial", []
    path.write_text("1")
    held = locks.hold(path)
    locks.clear_away(path, removed.append)
    locks.clear_away(tmp_path / "none", removed.append)
    assert removed == []
    os.close(held)
    locks.clear_away(path, removed.append)
    assert removed == [path]
    assert not locked(path, shared=False)
    os.mkfifo(tmp_path / "pipe")  # is not waited for
    locks.clear_away(tmp_path / "pipe", removed.append)
    assert len(removed) == 2


def test_what_is_kept_is_what_has_the_name(tmp_path):
    path = tmp_path / "partial"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    path.rename(tmp_path / "other")
    assert locks.keep(descriptor)
    assert not locks.keep(descriptor, path)
    path.touch()
    assert not locks.keep(descriptor, path)
    mine = locks.try_exclusive(path)
    other = os.open(path, os.O_RDONLY)
    assert not locks.keep(other, path)  # somebody clears it away just now
    for one in (descriptor, mine, other):
        os.close(one)


def test_what_was_replaced_while_it_was_waited_for_is_waited_for_again(tmp_path, monkeypatch):
    path, real, seen = tmp_path / "m.mar", locks._flock, []
    path.write_text("old")

    def meanwhile(descriptor, **how):
        if not seen:
            (tmp_path / "new").write_text("new")
            (tmp_path / "new").replace(path)
        seen.append(os.fstat(descriptor).st_ino)
        return real(descriptor, **how)

    monkeypatch.setattr(locks, "_flock", meanwhile)
    with locks.alone(path):
        assert locked(path, shared=True)
    assert seen[1:] == [path.stat().st_ino]


def test_a_file_system_without_locks_keeps_nobody_out(tmp_path, monkeypatch):
    def without(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", without)
    for take in (locks.hold, locks.try_exclusive):
        os.close(take(tmp_path))
    locks.clear_away(tmp_path, os.rmdir)  # where nobody can know whose it is
    assert tmp_path.exists()


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_temporary_folder_is_removed_after_an_error_too(place):
    def fail():
        with scratch_folder() as folder:
            (folder / "weights").write_bytes(b"x")
            assert folder.parent == place
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_goes_and_what_is_in_use_stays(place):
    done = subprocess.run([sys.executable, "-c", KILLED, str(place)], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = place.iterdir()
    (place / "mar-scratch-link").symlink_to(left)
    with scratch_folder() as mine, scratch_folder() as other:
        assert not left.exists()
        assert {mine, other, place / "mar-scratch-link"} == set(place.iterdir())
