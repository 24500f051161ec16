"""Telling which files were saved."""

from __future__ import annotations

from mar_core import FileWatch


def test_a_file_that_comes_changes_and_goes_is_told_once(tmp_path):
    path, still = tmp_path / "late.py", tmp_path / "still.py"
    still.write_text("")
    watch = FileWatch(lambda: [path, still])
    for change in (lambda: path.write_text("1"), lambda: path.write_text("22"), path.unlink):
        change()
        assert watch.changed() == []  # it may not be whole yet
        assert watch.changed() == [path]
        assert watch.changed() == []


def test_a_change_is_told_when_it_has_settled(tmp_path):
    path = tmp_path / "long.bin"
    watch = FileWatch(tmp_path.iterdir)
    for size in (0, 1, 2):
        path.write_bytes(bytes(size))
        assert watch.changed() == []
    assert watch.changed() == [path]
    path.unlink()
    assert [watch.changed(), watch.changed()] == [[], [path]]
