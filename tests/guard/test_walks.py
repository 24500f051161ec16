"""A command goes through few files: the house is laid out for reading.

What the walks come to, and no more; the numbers only ever shrink.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from walk import walked

ARCHIVE_FILES = 40
RUN_FILES = 58
RUN_CHANGES = 450
# Of the first run, which unpacks; how often threads wake each other differs a little.
FIRST_CHANGES = 490
# One row at batch 1, in one process.
ROW_FILES = 15
ROW_CALLS = 77
FEW, MANY = 5, 25
# The same in its worker.
WORKER_FILES, WORKER_CALLS = 10, 48
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walks")
    (folder / "handler.py").write_text("def handle(data, context):\n    return data\n")
    for rows in (2, FEW, MANY):
        (folder / f"{rows}.jsonl").write_text("".join(f'{{"x": {n}}}\n' for n in range(rows)))
    return folder


@pytest.fixture(scope="module")
def made(folder):
    words = ("archive", "--model-name", "echo", "--version", "1", "--handler", "handler.py")
    walk = walked("--no-plugins", *words, cwd=folder)
    assert (folder / "echo.mar").is_file()
    return walk


def test_mar_archive(made):
    assert len(made.files) <= ARCHIVE_FILES, "\n".join(made.files)
    assert made.calls >= made.changes / 2 > 0


def test_mar_run_of_two_rows(made, folder):
    first, again = (
        walked("--no-plugins", "run", "echo.mar", "2.jsonl", cwd=folder) for _ in range(2)
    )
    assert len(first.files) <= RUN_FILES, "\n".join(first.files)
    assert first.calls >= first.changes / 2 > 0
    assert first.changes <= FIRST_CHANGES
    assert again.changes <= RUN_CHANGES


def test_a_row(made, folder):
    command = ("--no-plugins", "run", "echo.mar", "--in-process")
    less, more = (walked(*command, f"{rows}.jsonl", cwd=folder) for rows in (FEW, MANY))
    row = more.each(less, MANY - FEW)
    assert len(row) <= ROW_FILES, row
    assert 0 < sum(row.values()) <= ROW_CALLS, row


def test_a_row_in_its_worker(tmp_path):
    """In its worker, from frame to frame; what PyTorch's own threads do is not counted."""
    (tmp_path / "handler.py").write_text(
        COUNTING.format(support=str(Path(__file__).parents[1] / "support"))
    )
    with (tmp_path / "rows.jsonl").open("w") as rows:
        rows.writelines(f"{n}\n" for n in range(4 * ROWS))
    words = ("run", "--handler", "handler.py", "rows.jsonl", "--batch-size", "1", "-o", "out.jsonl")
    walked("--no-plugins", *words, cwd=tmp_path)
    results = [
        json.loads(row)["result"] for row in (tmp_path / "out.jsonl").read_text().splitlines()
    ]
    files, calls = next(result for result in results if isinstance(result, list))
    assert 0 < len(files) <= WORKER_FILES, "\n".join(files)
    assert 0 < calls <= WORKER_CALLS * ROWS
