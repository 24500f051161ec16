"""Rows of results as a table: columns with types, and cells that fit them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from mar_core.run.writers.base import dump
from mar_core.run.writers.flat import columns_of, flat_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mar_core.records import WriteOptions

    Rows = Callable[[], Iterator[dict[str, Any]]]

__all__ = ["Table", "to_table"]

COLUMNS = (
    *("id", "result"),
    *("error_stage", "error_type", "error_message", "error_code"),
    *("streamed", "response"),
)


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
