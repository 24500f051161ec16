"""Batches of the size that is asked for, and what happens when one does not fit."""

from __future__ import annotations

import pytest

from mar_core.testing import make_archive

SOURCE = """
import time

class Rows:
    bucket_by_length = {by_length}

    def initialize(self, context):
        self.size = context.system_properties["batch_size"]

    def handle(self, data, context):
        rows = [row["body"] for row in data]
        time.sleep({seconds})
        if len(rows) > {fits} or "giant" in rows:
            {error}
        lengths = len({{len(str(row)) for row in rows}})
        told = {{"with": len(rows), "lengths": lengths, "asked": self.size}}
        return [{{"row": row, **told}} for row in rows]
"""
MEMORY = "raise MemoryError"
TORCH = "import torch; raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB')"


@pytest.fixture
def limited(tmp_path):
    """An archive whose handler takes batches up to a size."""

    def make(fits=10_000, error=MEMORY, *, seconds=0, by_length=False, **more):
        path = tmp_path / "rows.py"
        path.write_text(SOURCE.format(fits=fits, error=error, seconds=seconds, by_length=by_length))
        return make_archive(tmp_path, handler=path, **more)

    return make


def sizes(rows):
    return [row["result"]["with"] for row in rows]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_archives_own_size_unless_told_otherwise(limited, run_rows, workers):
    archive = limited(config={"batchSize": 4})
    _, rows = run_rows(archive, *range(10), workers=workers)
    assert sizes(rows) == [4] * 8 + [2] * 2
    assert {row["result"]["asked"] for row in rows} == {4}
    summary, rows = run_rows(archive, *range(10), workers=workers, batch_size=5)
    assert sizes(rows) == [5] * 10
    assert summary.batches == 2


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch_size", ["auto", 64])
@pytest.mark.parametrize("error", [MEMORY, TORCH])
def test_backs_off_when_memory_runs_out(limited, run_rows, workers, batch_size, error):
    if workers and error == TORCH:
        workers = 1  # each imports torch, and on two cores the second one waits for the first
    inputs = range(800)
    archive = limited(5, error, seconds=0.001)
    summary, rows = run_rows(archive, *inputs, workers=workers, batch_size=batch_size)
    assert [row["result"]["row"] for row in rows] == list(inputs)
    assert summary.failed == 0
    assert max(sizes(rows)) <= 5
    assert {4} <= set(sizes(rows)[-100:-10]) <= {3, 4, 5}


@pytest.mark.parametrize("workers", [0, 1])
def test_one_input_that_never_fits_does_not_shrink_the_others(limited, run_rows, workers):
    inputs = [*range(20), "giant", *range(200)]
    _, rows = run_rows(limited(), *inputs, workers=workers, batch_size=16)
    assert [at for at, row in enumerate(rows) if "error" in row] == [20]
    assert rows[20]["error"]["code"] == 507
    assert set(sizes(rows[40:200])) == {16}


def test_auto_grows_where_a_larger_batch_is_faster(limited, run_rows):
    _, rows = run_rows(limited(seconds=0.002), *range(1500), batch_size="auto")
    assert sizes(rows)[0] == 1
    assert max(sizes(rows)) >= 64


@pytest.mark.parametrize("workers", [0, 2])
def test_a_handler_may_ask_for_neighbours_of_one_length(limited, run_rows, workers):
    words = [word for n in range(64) for word in (f"{n:02}", f"{n:0100}")]
    _, rows = run_rows(limited(by_length=True), *words, workers=workers, batch_size=8)
    assert [row["result"]["row"] for row in rows] == words
    assert {row["result"]["lengths"] for row in rows} == {1}
    assert set(sizes(rows)) == {8}
