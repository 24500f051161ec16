"""The formats that come with mar, each a writer as a plugin would offer its own."""

from __future__ import annotations

import csv
import importlib.util
import io
import itertools
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from mar_core.errors import UsageError
from mar_core.records import WriteOptions, Writer
from mar_core.run.writers.base import dump, parse
from mar_core.run.writers.tables import to_table

__all__ = ["CsvWriter", "JsonLinesWriter", "JsonWriter", "ParquetWriter", "TsvWriter"]

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
        columns, cells = to_table(rows, options, errors="surrogateescape")
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

        columns, cells = to_table(rows, options)
        types = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
        kinds = {"error_code": pa.int32()}
        schema = pa.schema([(name, kinds.get(name, types[kind])) for name, kind in columns.items()])
        with parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
            while group := list(itertools.islice(cells, ROWS_AT_ONCE)):
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
