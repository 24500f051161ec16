"""A command goes through few files: the house is laid out for reading."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from walk import walked

# What the walks come to, and no more; they only ever shrink. The aim of the first is 40.
ARCHIVE_FILES = 52
ROW_FILES, ROW_CALLS = 14, 55
ROWS = 20
COUNTING = """
import sys
from pathlib import Path

import mar_core

sys.path.insert(0, {support!r})
from walk import Counter

counter = Counter(str(Path(mar_core.__file__).parent))

def handle(data, context):
    if data is None:
        return None
    (row,) = data
    n = row["body"]
    if n == 20:
        sys.setprofile(counter)
    if n == 40:
        sys.setprofile(None)
        return [[sorted(counter.files), counter.calls]]
    return [n]
"""


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


def test_a_row_at_batch_1(folder):
    """In its worker, from frame to frame; what PyTorch's own threads do is not counted."""
    (folder / "handler.py").write_text(
        COUNTING.format(support=str(Path(__file__).parents[1] / "support"))
    )
    with (folder / "rows.jsonl").open("w") as rows:
        rows.writelines(f"{n}\n" for n in range(4 * ROWS))
    words = ("run", "--handler", "handler.py", "rows.jsonl", "--batch-size", "1", "-o", "out.jsonl")
    walked("--no-plugins", *words, cwd=folder)
    results = [json.loads(row)["result"] for row in (folder / "out.jsonl").read_text().splitlines()]
    files, calls = next(result for result in results if isinstance(result, list))
    assert 0 < len(files) <= ROW_FILES, "\n".join(files)
    assert 0 < calls <= ROW_CALLS * ROWS
