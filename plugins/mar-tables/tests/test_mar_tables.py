"""Results in SQLite and DuckDB, read by the databases themselves."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3

import duckdb
import pytest
from packs import mar

from mar_core import Failure, Outcome, OutputError, UsageError, WriteOptions
from mar_core.run.writers import open_writer

ENDINGS = [".sqlite", ".sqlite3", ".duckdb"]
HOSTILE = 'a"; DROP TABLE results; --'
FAILED = Failure(stage="read", type="InputError", message="There is no x.", code=400)


def query(path, sql="SELECT * FROM results"):
    """The records of a database, as dicts."""
    connect = duckdb.connect if path.suffix == ".duckdb" else sqlite3.connect
    with contextlib.closing(connect(str(path))) as connection:
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def types(path):
    if path.suffix == ".duckdb":
        return {row["column_name"]: row["column_type"] for row in query(path, "DESCRIBE results")}
    return {row["name"]: row["type"] for row in query(path, "PRAGMA table_info(results)")}


def write(path, *results, flat=True, **more):
    with open_writer(path, options=WriteOptions(flat=flat), **more) as writer:
        writer.write([
            Outcome(index=n, id=f"r:{n}", failure=result) if isinstance(result, Failure)
            else Outcome(index=n, id=f"r:{n}", result=result) for n, result in enumerate(results)
        ])  # fmt: skip
    return path


@pytest.mark.parametrize("ending", ENDINGS)
def test_flat_columns_have_types(tmp_path, ending):
    record = {"n": 3, "ok": True, "x": 1.5, "text": "é"}
    results = ({"cat": 0.75, "dog": 0.25}, record, FAILED, {"n": -(1 << 63)})
    path = write(tmp_path / f"out{ending}", *results)
    rows = query(path)
    assert [row["id"] for row in rows] == ["r:0", "r:1", "r:2", "r:3"]
    assert (rows[0]["label"], rows[0]["score"], rows[0]["n"]) == ("cat", 0.75, None)
    assert (rows[1]["n"], rows[1]["ok"], rows[1]["x"], rows[1]["text"]) == (3, True, 1.5, "é")
    assert (rows[2]["error_type"], rows[2]["error_code"]) == ("InputError", 400)
    assert rows[3]["n"] == -(1 << 63)
    wanted = (("id", "TEXT", "VARCHAR"), ("n", "INTEGER", "BIGINT"), ("score", "REAL", "DOUBLE"),
              ("ok", "BOOLEAN", "BOOLEAN"), ("error_code", "INTEGER", "BIGINT"))  # fmt: skip
    found = types(path)
    for name, lite, duck in wanted:
        assert found[name] == (duck if ending == ".duckdb" else lite)
    assert sorted(tmp_path.iterdir()) == [path, path.with_name(f"{path.name}.run")]


@pytest.mark.parametrize("ending", ENDINGS)
def test_columns_of_text(tmp_path, ending):
    path = write(tmp_path / f"out{ending}", {"a": 1}, "text", FAILED, flat=False)
    rows = query(path)
    assert [row["result"] for row in rows] == ['{"a": 1}', "text", None]
    assert list(rows[0]) == ["id", "result", "error_stage", "error_type", "error_message",
                             "error_code", "streamed", "response"]  # fmt: skip


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_empty_run(tmp_path, ending):
    assert query(write(tmp_path / f"out{ending}")) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_names_and_values_of_any_kind(tmp_path, ending):
    odd = {HOSTILE: HOSTILE, "Cat": 1, "cat": 2, "CAT_2": 3, "": "x", "nul\0": "a\0b",
           "lone\ud800": "\ud800", "big": 1 << 70, "nan": math.nan, "inf": -math.inf}  # fmt: skip
    path = write(tmp_path / f"out{ending}", odd, {"nan": 2.5, "inf": 2.5})
    row, other = query(path)
    assert (row[HOSTILE], row["Cat"], row["cat_2"], row["CAT_2_2"]) == (HOSTILE, 1, 2, 3)
    assert (row["big"], row["lone\\ud800"], row["inf"]) == (str(1 << 70), "\\ud800", -math.inf)
    assert (other["nan"], other["inf"]) == (2.5, 2.5)
    assert row["nan"] is None if ending != ".duckdb" else math.isnan(row["nan"])
    assert row["nul\ufffd"] == "a\0b"


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_name_that_is_not_utf8(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    with open_writer(path) as writer:
        writer.write([Outcome(index=0, id=os.fsdecode(b"caf\xe9"), result=1)])
    assert query(path)[0]["id"] == "caf\\udce9"


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_database_appears_whole_and_an_interrupted_run_resumes(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    writer = open_writer(path, digest="d")
    writer.write([Outcome(index=0, id="a", result=1)])
    assert not path.exists()
    writer.close(finished=False)
    assert not path.exists()
    with pytest.raises(OutputError, match="interrupted"):
        open_writer(path, digest="d")
    with open_writer(path, resume=True, digest="d") as writer:
        writer.write([Outcome(index=1, id="b", result=2)])
    assert [row["id"] for row in query(path)] == ["a", "b"]
    with pytest.raises(OutputError, match="is finished"):
        open_writer(path, resume=True, digest="d")
    write(path, 3)
    assert len(query(path)) == 1, "a finished one of ours is replaced"


@pytest.mark.parametrize("ending", ENDINGS)
def test_somebody_elses_database_is_replaced_with_force_alone(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    connect = duckdb.connect if ending == ".duckdb" else sqlite3.connect
    with contextlib.closing(connect(str(path))) as connection:
        connection.execute("CREATE TABLE mine (a INTEGER)")
    before = path.read_bytes()
    with pytest.raises(OutputError, match="mar did not write it"):
        write(path, 1)
    assert path.read_bytes() == before
    assert len(query(write(path, 1, force=True))) == 1


def test_too_many_columns_are_a_sentence_and_cost_no_row(tmp_path):
    path = tmp_path / "out.sqlite"
    with pytest.raises(OutputError, match=r"2,006 columns, and a table of SQLite has 2,000"):
        write(path, {f"c{number}": "x" for number in range(2001)}, digest="d")
    with open_writer(path, resume=True, digest="d") as writer:
        assert len(writer.done) == 1
    assert len(query(path)) == 1


def test_without_duckdb_it_is_said_before_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"needs DuckDB.*mar-tables\[duckdb\]"):
        open_writer(tmp_path / "out.duckdb")
    assert not list(tmp_path.iterdir())


def test_a_run_from_the_command_line(tmp_path):
    rows = [{"data": {"cat": 0.75, "dog": 0.25}, "truth": "cat"}] * 3
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "h.py").write_text(
        "def handle(data, context):\n    return [row['data'] for row in data] if data else None\n"
    )
    for ending in (".sqlite", ".duckdb"):
        words = ("--handler", "h.py", "rows.jsonl", "--flat", "--truth", "truth")
        mar("run", *words, "-o", f"out{ending}", cwd=tmp_path)
        sql = "SELECT label, truth, count(*) AS n FROM results GROUP BY label, truth"
        assert query(tmp_path / f"out{ending}", sql) == [{"label": "cat", "truth": "cat", "n": 3}]
