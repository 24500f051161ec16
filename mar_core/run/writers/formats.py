"""The formats that come with mar, each a writer as a plugin would offer its own."""

from __future__ import annotations

import csv
import importlib.util
import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from mar_core.errors import UsageError
from mar_core.records import WriteOptions, Writer
from mar_core.run.writers.flat import columns_of, flat_rows
from mar_core.run.writers.rows import dump, parse

__all__ = ["CsvWriter", "JsonLinesWriter", "JsonWriter", "ParquetWriter", "TsvWriter", "to_cells"]

COLUMNS = (
    *("id", "result"),
    *("error_stage", "error_type", "error_message", "error_code"),
    *("streamed", "response"),
)
ROWS_AT_ONCE = 4096
Rows = Callable[[], Iterator[dict[str, Any]]]


class JsonLinesWriter(Writer):
    """One row on each line, as it comes."""

    name = "jsonl"
    endings = (".jsonl", ".ndjson")
    streams = True
    resumes = True

    def write(self, rows: Rows, stream: BinaryIO, options: WriteOptions) -> None:  # noqa: ARG002
        """Write a line for each row."""
        stream.write(b"".join(map(dump, rows())))

    def parse(self, line: bytes) -> dict[str, Any] | None:
        """The row of a line."""
        return parse(line)


class JsonWriter(Writer):
    """One JSON array, a row on each line."""

    name = "json"
    endings = (".json",)

    def write(self, rows: Rows, stream: BinaryIO, options: WriteOptions) -> None:  # noqa: ARG002
        """Write the array."""
        before = b"[\n"
        for row in rows():
            stream.write(before + dump(row).rstrip(b"\n"))
            before = b",\n"
        stream.write(b"\n]\n" if before == b",\n" else b"[]\n")


class CsvWriter(Writer):
    """A heading, and one record for each row."""

    name = "csv"
    endings = (".csv",)
    flattens = True
    delimiter = ","

    def write(self, rows: Rows, stream: BinaryIO, options: WriteOptions) -> None:
        """Write the table."""
        columns, cells = _table(rows, options)
        text = io.TextIOWrapper(stream, "utf-8", newline="", errors="surrogateescape")
        table = csv.DictWriter(text, list(columns), delimiter=self.delimiter, lineterminator="\n")
        table.writeheader()
        table.writerows(cells)
        text.flush()
        text.detach()


class TsvWriter(CsvWriter):
    """The same with tabs."""

    name = "tsv"
    endings = (".tsv",)
    delimiter = "\t"


class ParquetWriter(Writer):
    """Columns with types."""

    name = "parquet"
    endings = (".parquet",)
    flattens = True

    def check(self, options: WriteOptions) -> None:  # noqa: ARG002
        """Find out whether pyarrow is there.

        Raises:
            UsageError: It is not.
        """
        if importlib.util.find_spec("pyarrow") is None:
            raise UsageError(
                "Writing Parquet needs pyarrow.",
                hint="Install it: `pip install 'mar-core[parquet]'`.",
            )

    def write(self, rows: Rows, stream: BinaryIO, options: WriteOptions) -> None:
        """Write the table."""
        import pyarrow as pa
        from pyarrow import parquet

        columns, cells = _table(rows, options)
        types = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
        kinds = {"error_code": pa.int32()}
        schema = pa.schema([(name, kinds.get(name, types[kind])) for name, kind in columns.items()])
        with parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
            while group := list(itertools.islice(cells, ROWS_AT_ONCE)):
                writer.write_table(pa.Table.from_pylist(group, schema=schema))


def to_cells(row: Mapping[str, Any], keep: tuple[str, ...] = ()) -> dict[str, Any]:
    """A row as the cells of a table: text as it is, everything else as JSON text."""
    cells = {name: _text(row[name]) for name in ("id", "result") if name in row}
    cells |= {name: _text(row[name]) for name in ("streamed", "response") if name in row}
    cells |= {f"error_{name}": value for name, value in row.get("error", {}).items()}
    kept = row.get("input") or {}
    return cells | {_column(name): _text(kept[name]) for name in keep if name in kept}


def _table(rows: Rows, options: WriteOptions) -> tuple[dict[str, type], Iterator[dict[str, Any]]]:
    """The columns with their types, and the cells of each record."""
    if not options.flat:
        columns: dict[str, type] = dict.fromkeys((*COLUMNS, *map(_column, options.keep)), str)
        columns["error_code"] = int
        return columns, (to_cells(row, options.keep) for row in rows())

    def flat() -> Iterator[dict[str, Any]]:
        return (cells for row in rows() for cells in flat_rows(row, top=options.top))

    columns = columns_of(flat())
    return columns, (_cells(cells, columns) for cells in flat())


def _cells(cells: Mapping[str, Any], columns: Mapping[str, type]) -> dict[str, Any]:
    return {name: _typed(cell, columns[name]) for name, cell in cells.items() if cell is not None}


def _column(name: str) -> str:
    return f"input_{name}" if name in COLUMNS else name


def _typed(cell: Any, kind: type) -> Any:
    """A cell of a column whose cells are of several types."""
    if kind is float:
        return float(cell)
    return cell if isinstance(cell, kind) else json.dumps(cell, ensure_ascii=False)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else dump(value).decode().rstrip("\n")
