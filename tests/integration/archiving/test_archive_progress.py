"""The progress bar: on a terminal, when it takes long, and never in the way of the output."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys

import pytest
from packs import archive_words, model_folder

CODE = """
import sys
from mar_core.cli import app, written
written.PATIENCE = float(sys.argv.pop(1))
app(prog_name="mar")
"""


@pytest.fixture
def folder(tmp_path):
    return model_folder(tmp_path, size=4 << 20)


def on_a_terminal(folder, patience, *words):
    """What goes to stdout, and to a terminal that is stderr."""
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(patience), *archive_words(*words)],
        cwd=folder, stdout=subprocess.PIPE, stderr=theirs, check=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # once the terminal is gone and everything was read
        while True:
            shown += os.read(ours, 1 << 16)
    os.close(ours)
    return done.stdout.decode(), shown.decode()


def test_a_bar_when_it_takes_long(folder):
    output, shown = on_a_terminal(folder, 0)
    assert "writing" in shown
    assert "MB" in shown
    assert output.startswith("model.mar  ")


@pytest.mark.parametrize(
    ("patience", "words"), [(60, ()), (0, ("--quiet",))], ids=["fast", "quiet"]
)
def test_no_bar(folder, patience, words):
    assert on_a_terminal(folder, patience, *words)[1] == ""
