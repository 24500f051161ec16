"""JSON and JSON lines."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from mar_core.errors import InputError
from mar_core.findings import printable
from mar_core.records import Input
from mar_core.run.readers.files import file_input
from mar_core.run.readers.json_stream import elements, pieces
from mar_core.run.readers.rows import RowReader, as_request, kept, row_headers
from mar_core.run.readers.sources import broken, open_rows, read_lines, too_large

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mar_core.records import ReadOptions

__all__ = ["JsonLinesReader", "JsonReader", "document_inputs", "line_inputs"]


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
        yield Input(id=name, read=read, headers=headers, size=len(line), kept=_kept(line, options))


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
        yield Input(id=name, read=read, headers=headers, size=size, kept=kept(element, options))


def _kept(line: bytes, options: ReadOptions) -> dict[str, Any]:
    """The same of a line, parsed for it here; a broken one says so when it is read."""
    if not options.keep:
        return {}
    try:
        return kept(json.loads(line), options)
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
