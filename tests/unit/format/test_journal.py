"""Changes of a file's end: whole or not at all, and by nobody's word but who may write to it."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from mar_core.errors import ArchiveError
from mar_core.format.journal import journal_of, replace_end, take_up

OLD = bytes(range(256)) * 8
END = b"the new end"
START = 1000
NEW = OLD[:START] + END


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "m.mar"
    path.write_bytes(OLD)
    return path


def told(target, **changes):
    status = target.stat()
    kept = target.read_bytes()[:START]
    start = changes.get("start", START)
    return {
        "file": [status.st_dev, status.st_ino],
        "start": start,
        "head": hashlib.sha256(kept[:start] * 2).hexdigest(),
        "size": len(END),
        **changes,
    }


def journal(target, end=END, digest=None, **changes):
    """Write what a process that was killed may have left, or what somebody has made up."""
    line = json.dumps(told(target, **changes)).encode() + b"\n"
    path = journal_of(target)
    path.write_bytes(line + end + (digest or hashlib.sha256(line + end).digest()))
    return path


@pytest.mark.parametrize("start", [0, 1, START, len(OLD)])
@pytest.mark.parametrize("end", [b"", END, bytes(3 << 20)])
def test_an_end_is_replaced(target, start, end):
    pieces = [end[:5], end[5:]]
    replace_end(target, start, pieces, size=len(end))
    assert target.read_bytes() == OLD[:start] + end
    assert list(target.parent.iterdir()) == [target]


def test_a_long_beginning_stays(target):
    whole = os.urandom(5 << 19)  # more than the two pieces by which it is known
    target.write_bytes(whole)
    replace_end(target, len(whole) - 3, [END], size=len(END))
    assert target.read_bytes() == whole[:-3] + END


def test_what_was_begun_is_finished_once(target):
    left = journal(target)
    assert left == target.parent / ".m.mar.mar-journal"
    target.write_bytes(NEW[:-4] + b"torn" + OLD)  # killed in the midst of it
    link = target.parent / "link.mar"
    link.symlink_to("m.mar")
    assert journal_of(link) == left
    take_up(link)
    assert target.read_bytes() == NEW
    assert not left.exists()
    take_up(target)
    take_up(target.parent / "none.mar")
    assert target.read_bytes() == NEW


UNTRUE = {
    "another file": {"file": [1, 2]},
    "another beginning": {"head": "0" * 64},
    "a place before the file": {"start": -1},
    "no number": {"start": True},
    "a size below none": {"size": -1},
    "no size": {"size": None},
    "a size that is smaller": {"size": len(END) - 1},
    "a size that is larger": {"size": len(END) + 1},
    "another digest": {"digest": bytes(32)},
    "cut off": {"digest": b"x"},
    "another end": {"digest": hashlib.sha256(b"").digest()},
}


@pytest.mark.parametrize("what", UNTRUE)
def test_a_journal_that_is_not_true_changes_nothing(target, what):
    left = journal(target, **UNTRUE[what])
    take_up(target)
    assert target.read_bytes() == OLD
    assert left.exists()


@pytest.mark.parametrize("raw", [b"", b"\n", b"{}\n", b"[]\n", b"null\n", b"[" * 9000, b"{" * 99])
def test_what_is_no_journal_changes_nothing(target, raw):
    journal_of(target).write_bytes(raw)
    take_up(target)
    assert target.read_bytes() == OLD


def test_a_journal_without_a_key_changes_nothing(target):
    for key in told(target):
        line = json.dumps({k: v for k, v in told(target).items() if k != key}).encode() + b"\n"
        journal_of(target).write_bytes(line + END + hashlib.sha256(line + END).digest())
        take_up(target)
        assert target.read_bytes() == OLD


def test_what_is_no_file_in_its_place_changes_nothing(target):
    made = journal(target).rename(target.parent / "made")
    journal_of(target).symlink_to(made)
    take_up(target)
    journal_of(target).unlink()
    os.mkfifo(journal_of(target))
    take_up(target)
    journal_of(target).unlink()
    journal_of(target).mkdir()
    take_up(target)
    assert target.read_bytes() == OLD


@pytest.mark.skipif(os.geteuid() != 0, reason="files of others are made by root alone")
def test_another_users_journal_changes_nothing(target):
    left = journal(target)
    os.chown(left, 12345, -1)
    take_up(target)
    assert target.read_bytes() == OLD
    os.chown(target, 12345, -1)
    take_up(target)  # whose file it is may write to it
    assert target.read_bytes() == NEW


def test_a_file_that_became_shorter_says_so(target):
    journal(target)
    target.write_bytes(OLD[: START - 1])
    with pytest.raises(ArchiveError, match="shorter than its journal says"):
        take_up(target)
    assert target.read_bytes() == OLD[: START - 1]


def test_an_end_that_cannot_be_read_leaves_the_file(target):
    def pieces():
        yield END
        raise OSError(5, "gone")

    with pytest.raises((OSError, ArchiveError)):
        replace_end(target, START, pieces(), size=len(END))
    assert target.read_bytes() == OLD
    assert list(target.parent.iterdir()) == [target]


def test_what_others_left_under_its_name_is_replaced(target):
    journal(target, head="0" * 64)
    replace_end(target, START, [END], size=len(END))
    assert target.read_bytes() == NEW
    assert list(target.parent.iterdir()) == [target]


def test_what_cannot_be_finished_is_finished_by_the_next(target, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("mar_core.format.journal._carry_out", full)
        with pytest.raises(ArchiveError, match="could not be finished: No space left"):
            replace_end(target, START, [END], size=len(END))
        with pytest.raises(ArchiveError, match="cannot be finished here: No space left"):
            take_up(target)
    assert target.read_bytes() == OLD
    take_up(target)
    assert target.read_bytes() == NEW
