"""CSV, TSV and Parquet: one request for each record."""

from __future__ import annotations

import contextlib
import csv
import functools
from typing import TYPE_CHECKING, Any, BinaryIO

from mar_core.errors import InputError
from mar_core.records import Input
from mar_core.run.readers.rows import (
    RowReader,
    as_request,
    check_column,
    check_kept,
    kept_columns,
    row_headers,
)
from mar_core.run.readers.sources import (
    broken,
    ending_path,
    open_rows,
    open_source,
    read_lines,
    reading,
    too_large,
)
from mar_core.text import first_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.records import ReadOptions


__all__ = ["CsvReader", "ParquetReader"]


ROWS_AT_ONCE = 256


class CsvReader(RowReader):
    """Reads records below a heading; every cell is text, as it stands."""

    name = "csv"
    endings = (".csv", ".tsv")

    def rows(self, source: str, options: ReadOptions) -> Iterator[Input]:
        """One input for each record, called ``source:1`` and on.

        Raises:
            InputError: There is no heading, it lacks the column, or the text is not UTF-8.
        """
        limit = options.max_input_size
        # Python's own limit is 128 KiB for a cell; pictures in base64 are longer.
        csv.field_size_limit(limit)
        delimiter = "\t" if ending_path(source).removesuffix(".gz").endswith(".tsv") else ","
        with open_rows(source) as stream, _csv_faults(source):
            records = csv.reader(_csv_lines(source, stream, limit), delimiter=delimiter)
            heading = next(records, None)
            if not heading:
                raise InputError(f"{printable(source)} has no heading.")
            check_column(source, heading, options.column)
            check_kept(heading, options)
            yield from _csv_inputs(source, heading, filter(None, records), options)


def _csv_lines(source: str, stream: BinaryIO, limit: int) -> Iterator[str]:
    """The lines as text; one record may go over several, and is bounded by its cells.

    Raises:
        InputError: A line is too long. What follows cannot be told from what it held.
    """
    for number, line in enumerate(read_lines(stream, limit), start=1):
        if line is None:
            raise too_large(f"Line {number} of {source}", limit)
        yield line.decode("utf-8-sig" if number == 1 else "utf-8")


@contextlib.contextmanager
def _csv_faults(source: str) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise InputError(f"{printable(source)} is not UTF-8.") from error
    except csv.Error as error:
        raise InputError(f"{printable(source)} is no sound table: {error}.") from error


def _csv_inputs(
    source: str, heading: list[str], records: Iterator[list[str]], options: ReadOptions
) -> Iterator[Input]:
    headers = row_headers(options, "data")
    for number, record in enumerate(records, start=1):
        name = f"{source}:{number}"
        if len(record) != len(heading):
            fault = f"has {len(record)} cells; the heading has {len(heading)}"
            yield broken(name, f"{printable(name)} {fault}.")
            continue
        row = dict(zip(heading, record, strict=True))
        read = functools.partial(as_request, row, options=options, key="data")
        size = sum(map(len, record))
        yield Input(id=name, read=read, headers=headers, size=size, kept=kept_columns(row, options))


class ParquetReader(RowReader):
    """Reads rows as Python values; bytes become ``bytearray``, as in a request."""

    name = "parquet"
    endings = (".parquet",)

    def rows(self, source: str, options: ReadOptions) -> Iterator[Input]:
        """One input for each row, called ``source:1`` and on.

        Raises:
            InputError: It is no Parquet file, lacks the column, or pyarrow is not installed.
        """
        headers = row_headers(options, "data")
        for number, row in enumerate(_parquet_rows(source, options), start=1):
            read = functools.partial(_parquet_request, row, options)
            along = kept_columns(row, options)
            yield Input(id=f"{source}:{number}", read=read, headers=headers, kept=along)


def _parquet_rows(source: str, options: ReadOptions) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise InputError(
            f"{printable(source)}: reading Parquet needs pyarrow.",
            hint="Install it: `pip install 'mar-core[parquet]'`.",
        ) from error
    try:
        with open_source(source) as stream, reading(source), ParquetFile(stream) as file:
            check_column(source, file.schema_arrow.names, options.column)
            check_kept(file.schema_arrow.names, options)
            column = options.column
            wanted = None if column is None else [column, *options.keep]
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=wanted):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        reason = first_line(error)
        raise InputError(f"{printable(source)} is no sound Parquet file: {reason}.") from error


def _parquet_request(row: dict[str, Any], options: ReadOptions) -> dict[str, Any]:
    cells = {name: _value(cell) for name, cell in row.items()}
    return as_request(cells, options=options, key="data")


def _value(cell: Any) -> Any:
    """A cell as a handler knows it; of the pictures of a dataset, ``{bytes, path}``, the bytes."""
    if isinstance(cell, dict) and cell.keys() == {"bytes", "path"} and cell["bytes"] is not None:
        cell = cell["bytes"]
    return bytearray(cell) if isinstance(cell, bytes) else cell
