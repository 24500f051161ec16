"""Parquet, by pyarrow: one request for each row."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from mar_core.errors import InputError
from mar_core.findings import printable
from mar_core.records import Input
from mar_core.run.readers.rows import (
    RowReader,
    as_request,
    check_column,
    check_kept,
    kept,
    row_headers,
)
from mar_core.run.readers.sources import open_source, reading
from mar_core.text import first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.records import ReadOptions

__all__ = ["ParquetReader"]

ROWS_AT_ONCE = 256


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
        for number, row in enumerate(_rows(source, options), start=1):
            read = functools.partial(_request, row, options)
            along = kept(row, options)
            yield Input(id=f"{source}:{number}", read=read, headers=headers, kept=along)


def _rows(source: str, options: ReadOptions) -> Iterator[dict[str, Any]]:
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


def _request(row: dict[str, Any], options: ReadOptions) -> dict[str, Any]:
    cells = {name: _value(cell) for name, cell in row.items()}
    return as_request(cells, options=options, key="data")


def _value(cell: Any) -> Any:
    """A cell as a handler knows it; of the pictures of a dataset, ``{bytes, path}``, the bytes."""
    if isinstance(cell, dict) and cell.keys() == {"bytes", "path"} and cell["bytes"] is not None:
        cell = cell["bytes"]
    return bytearray(cell) if isinstance(cell, bytes) else cell
