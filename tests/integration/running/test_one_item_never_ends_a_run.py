"""Whatever one item makes a handler do, the others are answered."""

from __future__ import annotations

import json
import textwrap

import pytest
from packs import mar

from mar_core.testing import make_archive

HANDLER = """
    import asyncio, os, sys, threading, time

    class Dumb(Exception):
        def __str__(self):
            raise RuntimeError("not even this")

    class Loud(BaseException):
        pass

    def handle(data, context):
        if data is None:
            return None
        return [globals()[row["body"]["do"]]() for row in data]

    def fine():
        return "fine"

    def large():
        return 10 ** 5000

    def large_key():
        return {10 ** 5000: 1}

    def dumb():
        raise Dumb

    def cancelled():
        raise asyncio.CancelledError

    def generator():
        raise GeneratorExit

    def loud():
        raise Loud("oh")

    def close_stdout():
        sys.stdout.close()
        os.close(1)
        return "fine"

    def close_stderr():
        sys.stderr.close()
        return "fine"

    def close_all():
        os.closerange(3, 100)
        return "fine"

    def folder():
        os.chdir("/")
        return "fine"

    def thread():
        threading.Thread(target=time.sleep, args=(600,)).start()
        return "fine"

    def leave():
        os._exit(3)

    def deep():
        value = []
        for _ in range(100_000):
            value = [value]
        return value

    def text():
        return "\\ud800 lone"
"""
FAILS = {
    "large": "result", "large_key": "result", "dumb": "inference", "cancelled": "inference",
    "generator": "inference", "loud": "inference", "leave": "worker", "deep": "result",
    "close_all": "worker",
}  # fmt: skip
DOES = [*FAILS, "close_stdout", "close_stderr", "folder", "thread", "text"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("items")
    (folder / "handler.py").write_text(textwrap.dedent(HANDLER))
    return make_archive(folder, handler=folder / "handler.py", model_name="items")


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("do", DOES)
def test_it_costs_its_own_row_at_most(archive, tmp_path, do, batch_size):
    rows = [{"do": "fine"}, {"do": do}, {"do": "fine"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = (archive, "rows.jsonl", "-q", "-o", "o.jsonl", "--batch-size", batch_size)
    mar("run", *words, cwd=tmp_path, code=1 if do in FAILS else 0)
    before, it, after = rows_of(tmp_path)
    assert (before["result"], after["result"]) == ("fine", "fine")
    if do in FAILS:
        assert it["error"]["stage"] == FAILS[do], it
    else:
        assert "result" in it


VERSIONED = """
    import os, shutil
    VERSION = {version}
    def handle(data, context):
        if data is None:
            return None
        if data[0]["body"] == 5:
            {change}
            os._exit(1)
        return [VERSION]
"""


def versioned(folder, version, change="pass"):
    path = folder / "h.py"
    path.write_text(textwrap.dedent(VERSIONED).format(version=version, change=change))
    (folder / "rows.jsonl").write_text("".join(f"{n}\n" for n in range(10)))
    return path


def test_sources_that_change_while_they_run_end_it_with_a_sentence(tmp_path):
    """The worker that is started again would answer in another version."""
    source = tmp_path / "h.py"
    versioned(tmp_path, 1, f"open({str(source)!r}, 'a').write('# changed')")
    done = mar("run", "--handler", "h.py", "rows.jsonl", "-o", "o.jsonl", cwd=tmp_path, code=2)
    assert "h.py" in done.stderr
    assert "has changed since it was loaded" in done.stderr
    assert [row["result"] for row in rows_of(tmp_path)] == [1] * 5


def test_an_archive_that_is_replaced_while_it_runs_goes_on_as_it_was(tmp_path):
    other = make_archive(tmp_path, handler=versioned(tmp_path, 2), model_name="other")
    change = f"shutil.copy({str(other)!r}, {str(other.with_name('mine.mar'))!r})"
    mine = make_archive(tmp_path, handler=versioned(tmp_path, 1, change), model_name="mine")
    mar("run", mine, "rows.jsonl", "-q", "-o", "o.jsonl", cwd=tmp_path, code=1)
    assert mine.read_bytes() == other.read_bytes()
    assert [row.get("result") for row in rows_of(tmp_path)] == [1] * 5 + [None] + [1] * 4


def rows_of(folder):
    return [json.loads(line) for line in (folder / "o.jsonl").read_text().splitlines()]
