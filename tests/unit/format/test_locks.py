"""Locks are on what stands under a name, and outlive nobody."""

from __future__ import annotations

import os
import threading

import pytest

from mar_core.format import locks


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
