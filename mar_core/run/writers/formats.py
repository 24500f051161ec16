"""The formats of results that come with mar, each a writer as plugins offer; rows as a table."""

from __future__ import annotations

import csv
import importlib.util
import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

from mar_core.errors import UsageError
from mar_core.records import WriteOptions, Writer
from mar_core.run.shapes import found_in
from mar_core.run.writers.base import dump, parse

__all__ = [
    "CsvWriter",
    "JsonLinesWriter",
    "JsonWriter",
    "ParquetWriter",
    "Table",
    "TsvWriter",
    "columns_of",
    "flat_rows",
    "to_table",
]

COLUMNS = (
    *("id", "result"),
    *("error_stage", "error_type", "error_message", "error_code"),
    *("streamed", "response"),
)
# A longer list of numbers is one cell of JSON text: a row of a thousand columns helps nobody.
LONGEST = 64
DEEPEST = 4
# What a larger integer needs, no integer column of a table has.
LARGE = 1 << 63
# As results have numbers that JSON does not know.
NOT_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})
_ERRORS = ("stage", "type", "message", "code")
_TAKEN = frozenset(f"error_{name}" for name in _ERRORS)
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


class Table(NamedTuple):
    """The results of a run as a table.

    Attributes:
        columns: The columns in order, each with the type of its cells: ``str``, ``bool``, ``int``
            (of 64 bits) or ``float``.
        records: The records; a cell that a record lacks is empty.
    """

    columns: Mapping[str, type]
    records: Iterator[dict[str, Any]]


def to_table(rows: Rows, options: WriteOptions, *, errors: str = "backslashreplace") -> Table:
    """The table that rows are: of text, or with ``options.flat`` a typed column for each value.

    Args:
        rows: What a writer is given.
        options: Likewise.
        errors: What becomes of text that UTF-8 cannot hold, such as of a file's name that is no
            UTF-8: by default it is escaped, so that every program can read the table.
    """

    def cells() -> Iterator[dict[str, Any]]:
        for row in rows():
            if options.flat:
                yield from flat_rows(row, top=options.top)
            else:
                yield _texts(row, options.keep)

    if options.flat:
        columns = columns_of(cells())
    else:
        columns = dict.fromkeys((*COLUMNS, *map(_column, options.keep)), str)
        columns["error_code"] = int
    named = {_utf8(name, errors): kind for name, kind in columns.items()}
    return Table(named, (_typed(record, columns, errors) for record in cells()))


def _texts(row: Mapping[str, Any], keep: tuple[str, ...]) -> dict[str, Any]:
    """A row as text: text as it is, everything else as JSON."""
    cells = {name: _text(row[name]) for name in ("id", "result") if name in row}
    cells |= {name: _text(row[name]) for name in ("streamed", "response") if name in row}
    cells |= {f"error_{name}": value for name, value in row.get("error", {}).items()}
    kept = row.get("input") or {}
    return cells | {_column(name): _text(kept[name]) for name in keep if name in kept}


def _column(name: str) -> str:
    return f"input_{name}" if name in COLUMNS else name


def _text(value: Any) -> str:
    return value if isinstance(value, str) else dump(value).decode().rstrip("\n")


def _typed(record: Mapping[str, Any], columns: Mapping[str, type], errors: str) -> dict[str, Any]:
    """The cells that are not empty, each of its column's type."""
    return {
        _utf8(name, errors): _cell(value, columns[name], errors)
        for name, value in record.items()
        if value is not None
    }


def _cell(value: Any, kind: type, errors: str) -> Any:
    if kind is float:
        return float(value)
    if kind is str:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return _utf8(text, errors)
    return value


def _utf8(text: str, errors: str) -> str:
    """Text that UTF-8 can hold, or with ``surrogateescape`` the bytes that a file's name had."""
    try:
        text.encode("utf-8", "strict" if errors == "backslashreplace" else errors)
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def flat_rows(row: Mapping[str, Any], *, top: int | None = None) -> Iterator[dict[str, Any]]:
    """The flat rows of a row: one, or of a list of found objects one for each.

    A classification is ``label`` and ``score``, and with ``top`` ``label_2``, ``score_2`` and so
    on; a found object is ``label``, ``score`` and ``box_0`` to ``box_3``. Other dicts give a column
    for each key, lists one for each item.

    Args:
        row: A row of results.
        top: How many labels have columns.
    """
    begin = {"id": row.get("id"), **_input_cells(row)}
    end = {f"error_{name}": row["error"].get(name) for name in _ERRORS} if "error" in row else {}
    for cells in _results(row["result"], top) if "result" in row else ({},):
        taken = {
            f"result_{name}" if name in begin or name in _TAKEN else name: cell
            for name, cell in cells.items()
        }
        yield {**begin, **taken, **end}


def columns_of(rows: Iterator[Mapping[str, Any]]) -> dict[str, type]:
    """The columns of flat rows, errors last, each with the type that holds all its cells."""
    found: dict[str, type] = {}
    for row in rows:
        for name, cell in row.items():
            kind = _kind(cell)
            if cell is not None:
                found[name] = _wider(found[name], kind) if name in found else kind
    names = [name for name in found if name not in _TAKEN]
    names += [f"error_{name}" for name in _ERRORS]
    kinds = {name: found.get(name, int if name == "error_code" else str) for name in names}
    return {name: str if kind is _NotFinite else kind for name, kind in kinds.items()}


def _input_cells(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = row.get("input")
    if not isinstance(kept, Mapping):
        return {}
    cells: dict[str, Any] = {}
    for name, value in kept.items():
        taken = name == "id" or name in _TAKEN
        _spread(f"input_{name}" if taken else name, value, cells, 0)
    return cells


def _results(result: Any, top: int | None) -> Iterator[dict[str, Any]]:
    # Where labels are asked for, a single one is a label, too.
    found = found_in(result, least=2 if top is None else 1)
    if found and not any(one.more for one in found):
        cells: dict[str, Any] = {}
        ranked = sorted(found, key=lambda one: -one.score)[: top or 1]
        for number, one in enumerate(ranked, start=1):
            end = f"_{number}" if number > 1 else ""
            cells |= {f"label{end}": one.label, f"score{end}": one.score}
        yield cells
    elif found:
        for one in found:
            cells = {"label": one.label, "score": one.score}
            for name, value in one.more.items():
                _spread(name, value, cells, 0)
            yield cells
    else:
        cells = {}
        if isinstance(result, Mapping):
            for name, value in result.items():
                _spread(str(name), value, cells, 1)
        elif result != []:  # nothing was found
            _spread("result", result, cells, 0)
        yield cells


def _spread(name: str, value: Any, cells: dict[str, Any], depth: int) -> None:
    """Put a value into cells, items of it under the name and theirs."""
    if depth < DEEPEST and isinstance(value, Mapping) and value:
        items = [(str(key), item) for key, item in value.items()]
    elif depth < DEEPEST and isinstance(value, list) and 0 < len(value) <= LONGEST:
        items = [(str(number), item) for number, item in enumerate(value)]
    else:
        scalar = value is None or isinstance(value, (str, bool, int, float))
        cells[name] = value if scalar else json.dumps(value, ensure_ascii=False)
        return
    for key, item in items:
        _spread(f"{name}_{key}", item, cells, depth + 1)


class _NotFinite:
    """The type of a cell that JSON has as text, and a column of numbers as a number."""


def _kind(cell: Any) -> type:
    if isinstance(cell, str) and cell in NOT_FINITE:
        return _NotFinite
    if type(cell) is int and not -LARGE <= cell < LARGE:
        return str
    return type(cell)


def _wider(first: type, second: type) -> type:
    if first is second:
        return first
    return float if {first, second} <= {int, float, _NotFinite} else str
