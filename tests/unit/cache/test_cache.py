"""The cache of unpacked archives: one entry for one content, whoever else is at it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cacheplace import let_go, own_cache
from memory_archive import write_zip
from packs import HANDLER, weights

from mar_core import ArchiveError, UsageError, archive, open_archive
from mar_core.cache import entries as cache

CODE = """
import sys, time
from mar_core.format import open_archive
from mar_core.cache.entries import unpacked
with open_archive(sys.argv[1]) as archive:
    folder = unpacked(archive)
print(folder, flush=True)
if len(sys.argv) > 2:
    sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    with own_cache(tmp_path, monkeypatch) as place:
        yield place


@pytest.fixture
def made(tmp_path):
    """Makes an archive whose weights have a size."""
    (tmp_path / "handler.py").write_text(HANDLER)

    def make(name="m", *, size=1 << 16):
        path = weights(tmp_path / f"{name}.safetensors", size)
        return archive(
            name, handler=tmp_path / "handler.py", version="1", serialized_file=path,
            export_path=tmp_path,
        )  # fmt: skip

    return make


def unpack(path):
    with open_archive(path) as opened:
        return cache.unpacked(opened)


def elsewhere(path, *words):
    """The same in another process, which goes on using it where a word more is given."""
    return subprocess.Popen(
        [sys.executable, "-c", CODE, str(path), *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def looks(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_second_use_writes_nothing(place, made):
    path = made()
    folder = unpack(path)
    assert (folder / "handler.py").read_text() == HANDLER
    before = looks(place)
    assert unpack(path) == folder
    assert looks(place) == before


def test_entries_go_by_content(place, made, tmp_path):
    path = made()
    folder = unpack(path)
    copied = tmp_path / "copy.mar"
    copied.write_bytes(path.read_bytes())
    assert unpack(copied) == folder
    (tmp_path / "handler.py").write_text(HANDLER + "# new\n")
    path.unlink()
    assert unpack(made()) != folder
    assert len(cache.entries()) == 2


@pytest.mark.parametrize("how", ["edited", "removed", "linked", "noted wrong"])
def test_an_entry_that_somebody_changed_is_made_again(place, made, how):
    path = made()
    folder = unpack(path)
    handler = folder / "handler.py"
    if how == "edited":
        handler.write_text("print('other')\n")
    elif how == "noted wrong":
        (folder.parent / "entry.json").write_text("{")
    else:
        handler.unlink()
    if how == "linked":
        handler.symlink_to("/etc/hostname")
    let_go()
    assert unpack(path) == folder
    assert not handler.is_symlink()
    assert handler.read_text() == HANDLER


def test_many_processes_at_once_share_one_entry(place, made):
    path = made(size=32 << 20)
    processes = [elsewhere(path) for _ in range(6)]
    ends = [process.communicate() for process in processes]
    assert {process.returncode for process in processes} == {0}, ends
    (folder,) = {output for output, _ in ends}
    assert len(cache.entries()) == 1
    assert sorted(path.name for path in place.iterdir()) == [Path(folder.strip()).parent.name]


def test_a_killed_process_leaves_nothing_that_stays(place, made):
    path = made(size=256 << 20)
    killed = 0
    for delay in (0.1, 0.3, 0.5):
        process = elsewhere(path)
        while not list(place.glob(".new-*")) and process.poll() is None:
            time.sleep(0.005)
        time.sleep(delay / 10)
        process.kill()
        process.communicate()
        killed += process.returncode < 0
    assert killed
    folder = unpack(path)
    assert (folder / "m.safetensors").stat().st_size > 256 << 20
    assert not list(place.glob(".new-*"))


def test_the_longest_unused_go_when_it_grows(place, made, monkeypatch):
    monkeypatch.setenv("MAR_CACHE_SIZE", "300K")
    folders = {}
    for age, name in enumerate("abc"):
        folders[name] = unpack(made(name, size=100 << 10))
        os.utime(folders[name].parent / "entry.json", (age, age))
        let_go()
    kept = [entry.name for entry in cache.entries()]
    assert kept == ["b", "c"]
    assert not folders["a"].exists()


def test_what_is_in_use_stays(place, made, monkeypatch):
    monkeypatch.setenv("MAR_CACHE_SIZE", "1")
    user = elsewhere(made("a"), "wait")
    used = Path(user.stdout.readline().strip())
    unpack(made("b"))
    assert cache.clear() == []
    assert (used / "handler.py").read_text() == HANDLER
    user.communicate()
    assert [entry.name for entry in cache.clear()] == ["a"]
    assert not used.exists()


def test_no_more_entries_than_allowed(place, made, monkeypatch):
    monkeypatch.setattr(cache, "MAX_ENTRIES", 2)
    for age, name in enumerate("abcd"):
        folder = unpack(made(name))
        os.utime(folder.parent / "entry.json", (age, age))
        let_go()
    assert len(cache.entries()) == 2


def test_it_is_ours_alone(place, made):
    path = made()
    unpack(path)
    assert place.stat().st_mode & 0o077 == 0
    place.chmod(0o770)
    with pytest.raises(ArchiveError, match="Others may write to the cache folder"):
        unpack(path)


def test_a_size_that_is_none(place, made, monkeypatch):
    monkeypatch.setenv("MAR_CACHE_SIZE", "plenty")
    with pytest.raises(UsageError, match="MAR_CACHE_SIZE"):
        unpack(made())


def test_archives_without_digests_are_known_by_all_their_bytes(place, made, tmp_path):
    import zipfile

    path = tmp_path / "old.mar"
    for text in (HANDLER, HANDLER + "# new\n", HANDLER):
        with zipfile.ZipFile(path, "w") as packed:
            told = {"model": {"modelName": "old", "handler": "handler.py"}}
            packed.writestr(zipfile.ZipInfo("handler.py"), text)
            packed.writestr(zipfile.ZipInfo("MAR-INF/MANIFEST.json"), json.dumps(told))
        assert (unpack(path) / "handler.py").read_text() == text
    assert len(cache.entries()) == 2


def test_a_manifest_that_lists_some_members_names_no_entry(place, tmp_path):
    handler = hashlib.sha256(HANDLER.encode()).hexdigest()
    for listed in ({"handler.py": {"sha256": handler}}, {"handler.py": {"sha256": 7}, "x.txt": {}}):
        for text in ("one", "two"):
            told = {
                "model": {"modelName": "old", "handler": "handler.py"},
                "mar": {"members": listed},
            }
            content = {"MAR-INF/MANIFEST.json": json.dumps(told), "handler.py": HANDLER}
            path = write_zip(tmp_path / "some.mar", content | {"x.txt": text})
            assert (unpack(path) / "x.txt").read_text() == text
    assert len(cache.entries()) == 4


def edited_at_the_same_length(folder):
    handler = folder / "handler.py"
    before = handler.stat()
    handler.write_text(HANDLER.replace("data", "tada"))
    os.utime(handler, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert handler.stat().st_size == before.st_size


def bytecode(folder):
    cached = folder / "__pycache__"
    cached.mkdir()
    (cached / "handler.cpython-311.pyc").write_bytes(b"evil")


STRANGERS = {
    "a module": lambda folder: (folder / "helper.py").write_text("1"),
    "a package that shadows": lambda folder: (folder / "handler").mkdir(),
    "bytecode": bytecode,
    "a file in a folder": lambda folder: (folder / "MAR-INF" / "x.py").write_text("1"),
    "a link": lambda folder: (folder / "json.py").symlink_to("/etc/hostname"),
    "a linked folder": lambda folder: (folder / "torch").symlink_to("/tmp"),
    "a pipe": lambda folder: os.mkfifo(folder / "pipe"),
    "a hidden file": lambda folder: (folder / ".pth").write_text("1"),
}


def test_an_edit_of_the_same_length_and_time_is_noticed(place, made):
    path = made()
    folder = unpack(path)
    edited_at_the_same_length(folder)
    let_go()
    assert unpack(path) == folder
    assert (folder / "handler.py").read_text() == HANDLER


@pytest.mark.parametrize("what", STRANGERS)
def test_what_was_added_to_an_entry_does_not_stay(place, made, what):
    path = made()
    folder = unpack(path)
    before = sorted(folder.rglob("*"))
    STRANGERS[what](folder)
    assert sorted(folder.rglob("*")) != before
    let_go()
    weights_before = (folder / "m.safetensors").stat().st_ino
    assert unpack(path) == folder
    assert sorted(folder.rglob("*")) == before
    assert (folder / "m.safetensors").stat().st_ino == weights_before  # not unpacked again
    assert Path("/etc/hostname").exists()
    assert Path("/tmp").is_dir()


@pytest.mark.parametrize("how", ["added", "edited"])
def test_an_entry_in_use_is_left_alone(place, made, how):
    path = made()
    user = elsewhere(path, "wait")
    used = Path(user.stdout.readline().strip())
    name = "log.txt" if how == "added" else "handler.py"
    (used / name).write_text("what its handler wrote")
    folder = unpack(path)
    assert folder != used
    assert sorted(file.name for file in folder.iterdir()) == [
        "MAR-INF",
        "handler.py",
        "m.safetensors",
    ]
    assert (folder / "handler.py").read_text() == HANDLER
    assert (used / name).read_text() == "what its handler wrote"
    user.communicate()
    let_go()
    assert unpack(path) == used
    assert (used / "handler.py").read_text() == HANDLER
    assert not (used / "log.txt").exists()


def test_a_member_that_nobody_had_asked_for_comes_later_into_the_same_folder(tmp_path, monkeypatch):
    handler = tmp_path / "handler.py"
    handler.write_text(HANDLER)
    path = archive(
        "m", handler=handler, version="1", export_path=tmp_path,
        serialized_file=weights(tmp_path / "w.safetensors"),
    )  # fmt: skip
    with own_cache(tmp_path, monkeypatch) as place, open_archive(path) as opened:
        folder = cache.unpacked(opened, without="w.safetensors")
        assert not (folder / "w.safetensors").exists()
        assert cache.unpacked(opened, without="w.safetensors") == folder
        for _ in range(2):
            assert cache.unpacked(opened) == folder
            assert (folder / "w.safetensors").read_bytes() == opened.read("w.safetensors")
        assert [entry.name for entry in place.iterdir()] == [folder.parent.name]
        assert [(entry.members, entry.in_use) for entry in cache.entries()] == [(3, True)]
        # What was changed meanwhile is not vouched for by what comes later.
        let_go()
        cache.clear()
        folder = cache.unpacked(opened, without="w.safetensors")
        (folder / "handler.py").write_text("else")
        other = cache.unpacked(opened)
        assert other != folder
        assert (other / "handler.py").read_text() == HANDLER
        assert (other / "w.safetensors").exists()


def test_a_folder_is_its_own_wherever_one_stands(tmp_path, monkeypatch):
    handler = tmp_path / "handler.py"
    handler.write_text(HANDLER)
    made = archive(
        "m", handler=handler, version="1", export_path=tmp_path, archive_format="no-archive"
    )
    monkeypatch.chdir(tmp_path)
    with open_archive(made.name) as opened:
        assert cache.unpacked(opened) == tmp_path / "m"
