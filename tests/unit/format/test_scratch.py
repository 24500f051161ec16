"""Temporary folders of weights go when they are done with, and when their process was killed."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from mar_core.format.scratch import scratch_folder

KILLED = """
import os, signal, sys, tempfile
tempfile.tempdir = sys.argv[1]
from mar_core.format.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "weights").write_bytes(b"x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_it_is_removed_after_an_error_too(place):
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
