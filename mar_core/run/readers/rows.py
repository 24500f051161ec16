"""Rows as requests: what tables have in common with JSON lines and JSON, which are read here."""

from __future__ import annotations

import abc
import functools
import json
from typing import TYPE_CHECKING, Any, ClassVar

from mar_core.errors import InputError
from mar_core.records import Input
from mar_core.run.readers.files import file_input
from mar_core.run.readers.json_stream import elements, pieces
from mar_core.run.readers.sources import (
    broken,
    ending_path,
    is_file,
    open_rows,
    read_lines,
    too_large,
)
from mar_core.runtime.requests import JSON, REQUEST_KEYS, request_headers
from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mar_core.records import ReadOptions


__all__ = [
    "JsonLinesReader",
    "JsonReader",
    "RowReader",
    "as_request",
    "check_column",
    "check_kept",
    "document_inputs",
    "kept_columns",
    "line_inputs",
    "row_headers",
]

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


def kept_columns(row: Any, options: ReadOptions) -> dict[str, Any]:
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


class JsonLinesReader(RowReader):
    """Reads one request from each line; empty lines do not count, their numbers do."""

    name = "jsonl"
    endings = (".jsonl", ".ndjson")

    def rows(self, source: str, options: ReadOptions) -> Iterator[Input]:
        """One input for each line, parsed when it is read."""
        with open_rows(source) as stream:
            yield from line_inputs(source, read_lines(stream, options.max_input_size), options)


class JsonReader(RowReader):
    """Reads a JSON document: an array gives one request for each element, anything else is one."""

    name = "json"
    endings = (".json",)

    def read(self, source: str, options: ReadOptions) -> Iterator[Input]:
        """The inputs of the document; as bytes it is one."""
        if options.raw:
            return iter([file_input(source, options)])
        return super().read(source, options)

    def rows(self, source: str, options: ReadOptions) -> Iterator[Input]:
        """One input for each element of the array, or one for the document."""
        with open_rows(source) as stream:
            yield from document_inputs(source, pieces(stream), options)


def line_inputs(
    source: str, lines: Iterable[bytes | None], options: ReadOptions
) -> Iterator[Input]:
    """One input for each line that is not empty, called ``source:12``; None is one too long."""
    headers = row_headers(options, options.field_name)
    for number, line in enumerate(lines, start=1):
        name = f"{source}:{number}"
        if line is None:
            error = too_large(name, options.max_input_size)
            yield broken(name, error.message, hint=error.hint)
            continue
        if line.isspace():
            continue
        read = functools.partial(_parse_line, name, line, options)
        yield Input(
            id=name,
            read=read,
            headers=headers,
            size=len(line),
            kept=_columns_of_line(line, options),
        )


def document_inputs(
    source: str, document: Iterator[bytes], options: ReadOptions
) -> Iterator[Input]:
    """One input for each element of an array, called ``source:1``, or one for the document.

    Raises:
        InputError: The document is not JSON; what came before the fault has been given.
    """
    headers = row_headers(options, options.field_name)
    for number, element, size in elements(document, source, limit=options.max_input_size):
        name = f"{source}:{number}" if number else source
        read = functools.partial(_request if number else _document, name, element, options)
        yield Input(
            id=name, read=read, headers=headers, size=size, kept=kept_columns(element, options)
        )


def _columns_of_line(line: bytes, options: ReadOptions) -> dict[str, Any]:
    """The same of a line, parsed for it here; a broken one says so when it is read."""
    if not options.keep:
        return {}
    try:
        return kept_columns(json.loads(line), options)
    except (ValueError, RecursionError):
        return {}


def _parse_line(name: str, line: bytes, options: ReadOptions) -> dict[str, Any]:
    if options.raw and options.column is None:
        return {options.field_name: bytearray(line.rstrip(b"\r\n"))}
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        fault = error.msg[:1].lower() + error.msg[1:]
        where = f"at character {error.pos + 1}"
        raise InputError(f"{printable(name)} is not JSON: {fault} {where}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{printable(name)} cannot be read: {error}.") from error
    return _request(name, row, options)


def _request(name: str, row: Any, options: ReadOptions) -> dict[str, Any]:
    try:
        return as_request(row, options=options, key=options.field_name)
    except InputError as error:
        raise InputError(f"{printable(name)}: {error.message}", hint=error.hint) from error


def _document(name: str, value: Any, options: ReadOptions) -> dict[str, Any]:
    """A document is posted whole, whatever keys it has."""
    if options.column is None and options.envelope is None:
        return {options.field_name: value}
    return _request(name, value, options)
