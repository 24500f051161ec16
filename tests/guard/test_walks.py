"""A command goes through few files: the house is laid out for reading."""

from __future__ import annotations

import pytest
from walk import walked

# What the walk comes to, and no more; it only ever shrinks. The aim is 40.
ARCHIVE_FILES = 54


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "handler.py").write_text("def handle(data, context):\n    return data\n")
    return tmp_path


def test_mar_archive(folder):
    words = ("archive", "--model-name", "echo", "--version", "1", "--handler", "handler.py")
    walk = walked("--no-plugins", *words, cwd=folder)
    assert (folder / "echo.mar").is_file()
    assert len(walk.files) <= ARCHIVE_FILES, "\n".join(walk.files)
    assert walk.calls >= walk.changes / 2 > 0
