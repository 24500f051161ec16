"""Text from an archive never steers the terminal that it is printed on."""

from __future__ import annotations

import json

import memory_archive
import pytest
from packs import mar

# Moves up a line and rewrites it; sets the window's title; shows the rest from right to left.
NASTY = "\x1b[1A\x1b[2Kfine\x1b]0;owned\x07\u202egnp.exe\x9b31m"
MANIFEST = {
    "runtime": "python", "createdOn": NASTY, "archiverVersion": NASTY,
    "model": {"modelName": NASTY, "modelVersion": NASTY, "handler": f"handler.py:{NASTY}"},
    "mar": {"handler": {"distribution": NASTY, "version": NASTY}},
}  # fmt: skip
COMMANDS = [
    ("validate", "m.mar"), ("inspect", "m.mar"), ("diff", "m.mar", "sound.mar"),
    ("doctor", "m.mar"), ("test", "m.mar"), ("run", "m.mar", "in.txt"),
    ("run", "--dry-run", "m.mar", "in.txt"), ("run", "--dry-run", "sound.mar", "names"),
    ("run", "sound.mar", "gone\x1b[2J.txt"),
    ("update", "m.mar", "--version", "2"),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    files = {"handler.py": memory_archive.HANDLER, memory_archive.MANIFEST: b""}
    files[memory_archive.MANIFEST] = json.dumps(MANIFEST).encode()
    memory_archive.write_zip(tmp_path / "m.mar", files)
    memory_archive.write_zip(tmp_path / "sound.mar", memory_archive.files())
    (tmp_path / "names").mkdir()
    (tmp_path / "names" / "\x1b[2Jowned\x07\u202e.txt").write_text("hi")
    (tmp_path / "in.txt").write_text("hi")
    return tmp_path


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_prints_it_raw(words, folder):
    done = mar(*words, cwd=folder, code=None)
    printed = (done.stdout + done.stderr).replace("\n", "").replace("\t", "")
    assert printed
    assert printed.isprintable(), ascii(printed)
