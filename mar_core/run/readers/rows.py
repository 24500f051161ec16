"""Rows as requests: what JSON, JSON lines, CSV and Parquet have in common."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, ClassVar

from mar_core.errors import InputError
from mar_core.findings import printable
from mar_core.run.readers.files import file_input
from mar_core.run.readers.sources import ending_path, is_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mar_core.records import Input, ReadOptions

__all__ = ["RowReader", "as_request", "check_column"]

REQUEST_KEYS = frozenset({"data", "body"})


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


def as_request(row: Any, *, column: str | None, key: str) -> dict[str, Any]:
    """The request that a row stands for.

    Args:
        row: A row of a table, or any JSON value.
        column: Send this column alone, as ``data``.
        key: Send the whole row under this name, unless it has a ``data`` or ``body`` of its own and
            so is a request already.

    Raises:
        InputError: The row has no such column.
    """
    if column is not None:
        return {"data": _cell(row, column)}
    if isinstance(row, dict) and not REQUEST_KEYS.isdisjoint(row):
        return row
    return {key: row}


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
