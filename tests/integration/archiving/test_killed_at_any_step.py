"""SIGKILL before any step of writing: the old or the new is there, and leftovers do not stay."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packs import HANDLER

SCRIPT = Path(__file__).parents[2] / "support" / "killed_at.py"
FORMATS = ["default", "default-named", "tgz", "no-archive"]
ARCHIVES = {"tgz": "m.tar.gz", "no-archive": "m"}


def killed(folder, kind, archive_format):
    (folder / "handler.py").write_text(HANDLER)
    (folder / "data.bin").write_bytes(bytes(1 << 16))
    cache = folder.parent / "cache"
    done = subprocess.run(
        [sys.executable, SCRIPT, folder, kind, archive_format],
        env={**os.environ, "MAR_CACHE_DIR": str(cache)}, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *turns, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [turn["killed"] for turn in turns] == [True] * (len(turns) - 1) + [False]
    assert turns[-1]["status"] == 0
    assert all(turn["sound"] for turn in turns)
    return turns, last


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
@pytest.mark.parametrize("archive_format", FORMATS)
@pytest.mark.parametrize("kind", ["replace", "update"])
def test_the_old_or_the_new_archive_is_there(kind, archive_format, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    turns, last = killed(folder, kind, archive_format)
    assert {turn["version"] for turn in turns} == {"1.0", "2.0"}
    name = ARCHIVES.get(archive_format, "m.mar")
    assert last == sorted(["data.bin", "handler.py", name])
    kinds = {Path(left).suffix for turn in turns for left in turn["left"]}
    assert ".mar-partial" in kinds  # else nothing was there to be removed


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
@pytest.mark.parametrize("archive_format", ["default", "default-named"])
def test_an_update_in_place_leaves_the_old_or_the_new(archive_format, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    turns, last = killed(folder, "in-place", archive_format)
    versions = [turn["version"] for turn in turns]
    assert set(versions) == {"1.0", "2.0"}
    assert versions == sorted(versions)  # from the journal's name on it is the new one
    assert len({turn["raw"] for turn in turns}) > 2  # it was half the one, half the other
    assert last == ["data.bin", "handler.py", "m.mar", "notes.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_the_cache_holds_whole_entries(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    turns, last = killed(folder, "unpack", "default")
    assert len(last) == 2
    assert all(re.fullmatch("mar-[0-9a-f]{64}", name) for name in last)
    lefts = {left[:5] for turn in turns for left in turn["left"]}
    assert ".new-" in lefts
    assert any(left.endswith(".lock") for turn in turns for left in turn["left"])
