"""CSV and TSV: one request for each record."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
from typing import TYPE_CHECKING

from mar_core.errors import InputError
from mar_core.findings import printable
from mar_core.records import Input
from mar_core.run.readers.rows import RowReader, as_request, check_column
from mar_core.run.readers.sources import broken, ending_path, open_rows
from mar_core.runtime.content import JSON, request_headers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.records import ReadOptions

__all__ = ["CsvReader"]

# Pictures in base64 are longer than Python's own limit of 128 KiB for a cell.
LONGEST_CELL = 1 << 30


class CsvReader(RowReader):
    """Reads records below a heading; every cell is text, as it stands."""

    name = "csv"
    endings = (".csv", ".tsv")

    def rows(self, source: str, options: ReadOptions) -> Iterator[Input]:
        """One input for each record, called ``source:1`` and on.

        Raises:
            InputError: There is no heading, it lacks the column, or the text is not UTF-8.
        """
        csv.field_size_limit(LONGEST_CELL)
        delimiter = "\t" if ending_path(source).removesuffix(".gz").endswith(".tsv") else ","
        with open_rows(source) as stream, _faults(source):
            text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
            records = csv.reader(text, delimiter=delimiter)
            heading = next(records, None)
            if not heading:
                raise InputError(f"{printable(source)} has no heading.")
            check_column(source, heading, options.column)
            yield from _inputs(source, heading, filter(None, records), options)


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
    headers = request_headers({"data": JSON}, options.headers)
    for number, record in enumerate(records, start=1):
        name = f"{source}:{number}"
        if len(record) != len(heading):
            fault = f"has {len(record)} cells; the heading has {len(heading)}"
            yield broken(name, f"{printable(name)} {fault}.")
            continue
        row = dict(zip(heading, record, strict=True))
        read = functools.partial(as_request, row, column=options.column, key="data")
        yield Input(id=name, read=read, headers=headers, size=sum(map(len, record)))
