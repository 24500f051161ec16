"""CSV and Parquet."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from mar_core import ReadOptions
from mar_core.run.readers.tables import CsvReader, ParquetReader

NAMES = st.lists(st.text(min_size=1), min_size=1, max_size=4, unique=True)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_row_is_sent_as_data(here, requests):
    (here / "t.csv").write_text('text,n\n"a, b",1\n\n"two\nlines",2\n', encoding="utf-8-sig")
    assert requests("t.csv") == [
        ("t.csv:1", {"data": {"text": "a, b", "n": "1"}}),
        ("t.csv:2", {"data": {"text": "two\nlines", "n": "2"}}),
    ]


def test_a_column_or_a_row_that_is_a_request(here, requests):
    (here / "t.csv").write_text("text,data\nx,1\n")
    assert requests("t.csv", column="text") == [("t.csv:1", {"data": "x"})]
    assert requests("t.csv") == [("t.csv:1", {"text": "x", "data": "1"})]


def test_tabs_and_packed_tables(here, requests):
    (here / "t.tsv").write_text("a\tb\n1,5\t2\n")
    assert requests("t.tsv") == [("t.tsv:1", {"data": {"a": "1,5", "b": "2"}})]
    with gzip.open("t.csv.gz", "wt") as stream:
        stream.write("a\n1\n")
    assert requests("t.csv.gz") == [("t.csv.gz:1", {"data": {"a": "1"}})]


def test_a_long_cell(here, requests):
    (here / "t.csv").write_text(f"a\n{'x' * 1_000_000}\n")
    ((_, request),) = requests("t.csv")
    assert len(request["data"]["a"]) == 1_000_000


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        (b"", {}, "t.csv has no heading."),
        (b"a,b\n1,2\n", {"column": "c"}, "There is no column 'c'. The columns are a, b."),
        (b"a,a\n1,2\n", {}, "t.csv has two columns of one name."),
        (b"a\n\xff\n", {}, "t.csv is not UTF-8."),
    ],
)
def test_a_table_that_cannot_be_read_costs_one_row(here, requests, content, options, sentence):
    (here / "t.csv").write_bytes(content)
    assert requests("t.csv", **options) == [("t.csv", sentence)]


def test_a_record_of_another_length_costs_one_row(here, requests):
    (here / "t.csv").write_text("a,b\n1\n1,2,3\n1,2\n")
    assert requests("t.csv") == [
        ("t.csv:1", "t.csv:1 has 1 cells; the heading has 2."),
        ("t.csv:2", "t.csv:2 has 3 cells; the heading has 2."),
        ("t.csv:3", {"data": {"a": "1", "b": "2"}}),
    ]


@settings(max_examples=80, deadline=None)
@given(names=NAMES, rows=st.lists(st.lists(st.text(), min_size=4, max_size=4), max_size=4))
def test_any_table_comes_back(tmp_path_factory, names, rows):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    rows = [row[: len(names)] for row in rows]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([names, *rows])
    try:
        path.write_bytes(text.getvalue().encode())
    except UnicodeEncodeError:
        return
    items = list(CsvReader().read(str(path), ReadOptions(column=names[0])))
    assert [item.read() for item in items] == [{"data": row[0]} for row in rows]


def test_parquet_keeps_types(here, requests):
    day = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    table = pa.table(
        {"n": [1, 2], "x": [0.5, None], "l": [[1], [2]], "b": [b"\x00", b""], "t": [day] * 2}
    )
    parquet.write_table(table, "t.parquet")
    (_, first), (name, second) = requests("t.parquet")
    assert first == {"data": {"n": 1, "x": 0.5, "l": [1], "b": bytearray(b"\x00"), "t": day}}
    assert name == "t.parquet:2"
    assert second["data"]["x"] is None
    assert requests("t.parquet", column="n")[1] == ("t.parquet:2", {"data": 2})


def test_pictures_of_a_dataset_are_their_bytes(here, requests):
    table = pa.table({"image": [{"bytes": b"\x89PNG", "path": "a.png"}], "label": [3]})
    parquet.write_table(table, "t.parquet")
    assert requests("t.parquet", column="image") == [
        ("t.parquet:1", {"data": bytearray(b"\x89PNG")})
    ]


@pytest.mark.parametrize(
    ("content", "column", "sentence"),
    [
        (b"no", None, "t.parquet is no sound Parquet file"),
        (b"PAR1" + b"\x00" * 64, None, "t.parquet is no sound Parquet file"),
        (None, "z", "There is no column 'z'. The columns are a."),
    ],
)
def test_a_parquet_file_that_cannot_be_read(here, requests, content, column, sentence):
    parquet.write_table(pa.table({"a": [1]}), "t.parquet")
    if content is not None:
        (here / "t.parquet").write_bytes(content)
    ((name, said),) = requests("t.parquet", column=column)
    assert (name, said[: len(sentence)]) == ("t.parquet", sentence)


def test_parquet_with_many_rows_is_read_in_parts(here):
    parquet.write_table(pa.table({"a": range(5000)}), "t.parquet", row_group_size=1000)
    items = ParquetReader().read("t.parquet", ReadOptions(column="a"))
    assert [item.read()["data"] for item in items] == list(range(5000))
