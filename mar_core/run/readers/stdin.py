"""Standard input: JSON lines, a JSON document, or one request of its bytes."""

from __future__ import annotations

import codecs
import itertools
import json
import sys
from typing import TYPE_CHECKING, BinaryIO

from mar_core.errors import InputError
from mar_core.run.readers.files import body_input
from mar_core.run.readers.json_stream import pieces
from mar_core.run.readers.rows import document_inputs, line_inputs
from mar_core.run.readers.sources import read_bounded, read_lines, too_large

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.records import Input, ReadOptions

__all__ = ["STDIN", "StdinReader", "binary_stdin"]

STDIN = "-"


def binary_stdin() -> BinaryIO:
    """Standard input as bytes."""
    return sys.stdin.buffer


class StdinReader:
    """Reads ``-``: one request for each line of JSON, else one request with all of it as bytes."""

    name = "stdin"

    def accepts(self, source: str) -> bool:
        """Whether the source is ``-``."""
        return source == STDIN

    def read(self, source: str, options: ReadOptions) -> Iterator[Input]:
        """The inputs on standard input, as they come.

        Raises:
            InputError: There is nothing on it, or the document is not JSON.
        """
        stream = binary_stdin()
        if options.content_type:
            whole = read_bounded(stream, options.max_input_size, source)
            return _whole(source, whole, options, options.content_type)
        return _by_content(source, stream, options)


def _by_content(source: str, stream: BinaryIO, options: ReadOptions) -> Iterator[Input]:
    """Look at the first line that is not empty, and decide."""
    limit = options.max_input_size
    head = b""
    while line := stream.readline(limit + 1 - len(head)):
        head += line
        if not line.isspace() or len(head) > limit:
            break
    if not head or head.isspace():
        raise InputError("There is nothing on standard input.")
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if _is_json(start):
        return _rows(source, head, stream, options)
    if start.startswith((b"{", b"[")):
        return document_inputs(source, itertools.chain([head], pieces(stream)), options)
    if len(head) > limit:
        raise too_large(source, limit)
    whole = head + read_bounded(stream, limit - len(head), source)
    return _whole(source, whole, options, "")


def _rows(source: str, head: bytes, stream: BinaryIO, options: ReadOptions) -> Iterator[Input]:
    """JSON lines; but an array that is alone is a document, whose elements are the rows."""
    following = read_lines(stream, options.max_input_size)
    second = next(following, b"")
    if head.lstrip().startswith(b"[") and second == b"":
        return document_inputs(source, iter([head]), options)
    lines = [*head.splitlines(keepends=True), b"\n" if second == b"" else second]
    return line_inputs(source, itertools.chain(lines, following), options)


def _whole(source: str, value: bytes, options: ReadOptions, kind: str) -> Iterator[Input]:
    return iter([body_input(source, value, options, content_type=kind)])


def _is_json(line: bytes) -> bool:
    if not line.startswith((b"{", b"[", b'"')):
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
