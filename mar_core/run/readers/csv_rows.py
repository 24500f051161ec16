"""CSV and TSV: one request for each record."""

from __future__ import annotations

import contextlib
import csv
import functools
from typing import TYPE_CHECKING, BinaryIO

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
from mar_core.run.readers.sources import (
    broken,
    ending_path,
    open_rows,
    read_lines,
    too_large,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.records import ReadOptions

__all__ = ["CsvReader"]


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
        with open_rows(source) as stream, _faults(source):
            records = csv.reader(_lines(source, stream, limit), delimiter=delimiter)
            heading = next(records, None)
            if not heading:
                raise InputError(f"{printable(source)} has no heading.")
            check_column(source, heading, options.column)
            check_kept(heading, options)
            yield from _inputs(source, heading, filter(None, records), options)


def _lines(source: str, stream: BinaryIO, limit: int) -> Iterator[str]:
    """The lines as text; one record may go over several, and is bounded by its cells.

    Raises:
        InputError: A line is too long. What follows cannot be told from what it held.
    """
    for number, line in enumerate(read_lines(stream, limit), start=1):
        if line is None:
            raise too_large(f"Line {number} of {source}", limit)
        yield line.decode("utf-8-sig" if number == 1 else "utf-8")


@contextlib.contextmanager
def _faults(source: str) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise InputError(f"{printable(source)} is not UTF-8.") from error
    except csv.Error as error:
        raise InputError(f"{printable(source)} is no sound table: {error}.") from error


def _inputs(
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
        yield Input(id=name, read=read, headers=headers, size=size, kept=kept(row, options))
