"""Rows as requests: what JSON, JSON lines, CSV and Parquet have in common."""

from __future__ import annotations

import abc
import json
from typing import TYPE_CHECKING, Any, ClassVar

from mar_core.errors import InputError
from mar_core.findings import printable
from mar_core.run.readers.files import file_input
from mar_core.run.readers.sources import ending_path, is_file
from mar_core.runtime.content import JSON, request_headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mar_core.records import Input, ReadOptions

__all__ = ["RowReader", "as_request", "check_column", "check_kept", "kept", "row_headers"]

REQUEST_KEYS = frozenset({"data", "body"})
# Envelopes that unwrap `{"instances": […]}`, and the one whose requests are whole documents.
INSTANCES = frozenset({"json", "kserve"})
WHOLE = "kservev2"


class RowReader(abc.ABC):
    """A reader of files that hold many requests, chosen by the file's ending."""

    name: str
    endings: ClassVar[tuple[str, ...]]

    def accepts(self, source: str) -> bool:
        """Whether it has one of the endings, possibly with ``.gz`` behind, and is a file."""
        name = ending_path(source).removesuffix(".gz")
        return name.endswith(self.endings) and is_file(source)

    def read(self, source: str, options: ReadOptions) -> Iterator[Input]:
        """One input for each row, or the file as one request when a content type is given.

        Raises:
            InputError: The file as a whole cannot be read.
        """
        return (
            iter([file_input(source, options)])
            if options.content_type
            else self.rows(source, options)
        )

    @abc.abstractmethod
    def rows(self, source: str, options: ReadOptions) -> Iterator[Input]:
        """One input for each row."""


def as_request(row: Any, *, options: ReadOptions, key: str) -> dict[str, Any]:
    """The request that a row stands for.

    Args:
        row: A row of a table, or any JSON value.
        options: Which column of it is sent, for which envelope, and whether as bytes.
        key: Send the whole row under this name, unless it has a ``data`` or ``body`` of its own and
            so is a request already.

    Raises:
        InputError: The row has no such column.
    """
    value = row if options.column is None else _cell(row, options.column)
    if options.envelope in INSTANCES:
        return {"body": _instances(value)}
    if options.envelope == WHOLE:
        return {"body": value}
    if options.raw:
        return {"body" if options.column is None else "data": _bytes(value)}
    if options.column is not None:
        return {"data": value}
    if isinstance(row, dict) and not REQUEST_KEYS.isdisjoint(row):
        return row
    return {key: row}


def kept(row: Any, options: ReadOptions) -> dict[str, Any]:
    """The columns of a row that go into its results."""
    if not options.keep or not isinstance(row, dict):
        return {}
    return {name: row[name] for name in options.keep if name in row}


def check_kept(names: Iterable[str], options: ReadOptions) -> None:
    """Refuse a table without a column that is to be carried along.

    Raises:
        InputError: It has no such column.
    """
    known = list(names)
    for name in options.keep:
        if name not in known:
            raise _no_column(name, known)


def row_headers(options: ReadOptions, key: str) -> dict[str, Any]:
    """The headers of a row's request: it is JSON, unless it is sent as bytes."""
    kind = "" if options.raw else JSON
    if key == "data":  # a table's
        return request_headers({key: kind}, options.headers)
    return request_headers({key: kind}, options.headers, content_type=kind)


def _instances(value: Any) -> dict[str, Any]:
    """What the envelopes unwrap; a line of a batch of Vertex's or KServe's is one instance."""
    if isinstance(value, dict) and isinstance(value.get("instances"), list):
        return value
    return {"instances": [value]}


def _bytes(value: Any) -> bytearray:
    if isinstance(value, (bytes, bytearray)):
        return bytearray(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return bytearray(text.encode("utf-8", "surrogatepass"))


def check_column(source: str, names: Sequence[str], column: str | None) -> None:
    """Refuse a table without the column that is asked for, or with two of one name.

    Raises:
        InputError: The table is so.
    """
    if len(set(names)) < len(names):
        raise InputError(f"{printable(source)} has two columns of one name.")
    if column is not None and column not in names:
        raise _no_column(column, names)


def _cell(row: Any, column: str) -> Any:
    if not isinstance(row, dict):
        raise InputError(f"It is no object, so that it has no column {column!r}.")
    if column not in row:
        raise _no_column(column, row)
    return row[column]


def _no_column(column: str, names: Iterable[str]) -> InputError:
    known = printable(", ".join(names))
    return InputError(f"There is no column {column!r}.", hint=f"The columns are {known or 'none'}.")
