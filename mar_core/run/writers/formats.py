"""The formats that are written at the end of a run, from its JSON lines."""

from __future__ import annotations

import csv
import importlib.util
import io
import itertools
import json
from typing import TYPE_CHECKING, Any, BinaryIO

from mar_core.errors import UsageError
from mar_core.run.writers.rows import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["FORMATS", "LINES", "check_format", "to_cells"]

LINES = (".jsonl", ".ndjson")
NESTED = ("streamed", "response")
COLUMNS = (
    *("id", "result"),
    *("error_stage", "error_type", "error_message", "error_code"),
    *NESTED,
)
ROWS_AT_ONCE = 4096


def check_format(ending: str) -> None:
    """Say before a run what would be missing at its end.

    Raises:
        UsageError: A package is not installed.
    """
    if ending == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise UsageError(
            "Writing Parquet needs pyarrow.",
            hint="Install it: `pip install 'mar-core[parquet]'`.",
        )


def to_cells(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as the cells of a table: text as it is, everything else as JSON text."""
    cells = {name: _text(row[name]) for name in ("id", "result") if name in row}
    cells |= {name: _text(row[name]) for name in NESTED if name in row}
    cells |= {f"error_{name}": value for name, value in row.get("error", {}).items()}
    return cells


def _document(rows: Path, stream: BinaryIO) -> None:
    """One JSON array, a row on each line."""
    before = b"[\n"
    with rows.open("rb") as lines:
        for line in lines:
            stream.write(before + line.rstrip(b"\n"))
            before = b",\n"
    stream.write(b"\n]\n" if before == b",\n" else b"[]\n")


def _table(rows: Path, stream: BinaryIO, *, delimiter: str) -> None:
    """A heading, and one record for each row."""
    text = io.TextIOWrapper(stream, "utf-8", newline="", errors="surrogateescape")
    table = csv.DictWriter(text, COLUMNS, delimiter=delimiter, lineterminator="\n")
    table.writeheader()
    table.writerows(to_cells(row) for row in _rows(rows))
    text.flush()
    text.detach()


def _csv(rows: Path, stream: BinaryIO) -> None:
    _table(rows, stream, delimiter=",")


def _tsv(rows: Path, stream: BinaryIO) -> None:
    _table(rows, stream, delimiter="\t")


def _parquet(rows: Path, stream: BinaryIO) -> None:
    """Text columns, and ``error_code`` as a number."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    numbers = {"error_code": pa.int32()}
    schema = pa.schema([(name, numbers.get(name, pa.string())) for name in COLUMNS])
    cells = (to_cells(row) for row in _rows(rows))
    with ParquetWriter(stream, schema, compression="zstd") as writer:
        while group := list(itertools.islice(cells, ROWS_AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as stream:
        for line in stream:
            yield json.loads(line)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else dump(value).decode().rstrip("\n")


# Each takes a file of JSON lines, and the stream to write its rows to.
FORMATS: dict[str, Callable[[Path, BinaryIO], None]] = {
    ".json": _document,
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
}
