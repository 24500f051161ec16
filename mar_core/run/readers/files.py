"""A file as one request, whatever it holds."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from mar_core.errors import InputError
from mar_core.records import Input
from mar_core.run.readers.sources import (
    ending_path,
    is_file,
    is_url,
    open_source,
    read_bounded,
    reading,
)
from mar_core.runtime.content import decode, guess_type, media_type, request_headers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.records import ReadOptions

__all__ = ["FileReader", "body_input", "file_input"]


class FileReader:
    """Reads any file as the body of one request: the reader for what no other reader takes."""

    name = "file"

    def accepts(self, source: str) -> bool:
        """Whether there is such a file."""
        return is_file(source)

    def read(self, source: str, options: ReadOptions) -> Iterator[Input]:
        """The file as one input, not opened yet."""
        yield file_input(source, options)


def file_input(source: str, options: ReadOptions) -> Input:
    """The input that sends a whole file."""
    kind = options.content_type or guess_type(ending_path(source))
    return Input(
        id=source,
        read=functools.partial(_read, source, options.field_name, kind, options.max_input_size),
        headers=request_headers({options.field_name: kind}, options.headers, content_type=kind),
        size=_size(source),
    )


def body_input(name: str, value: bytes, options: ReadOptions, *, content_type: str) -> Input:
    """The input that sends bytes that are here already."""
    field = options.field_name
    return Input(
        id=name,
        read=functools.partial(body_request, field, value, content_type),
        headers=request_headers({field: content_type}, options.headers, content_type=content_type),
        size=len(value),
    )


def body_request(field: str, value: bytes, content_type: str) -> dict[str, Any]:
    """The request that a body is: one field, or those of a form as ``curl -d`` sends it.

    Raises:
        InputError: It is a form with files, which cannot be told from its type alone.
    """
    kind = media_type(content_type)
    if kind == "multipart/form-data":
        raise InputError("A form is not sent as a body.", hint="Give its fields with -F.")
    if kind == "application/x-www-form-urlencoded":
        return _form(value.decode("utf-8", "surrogateescape"))
    return {field: decode(value, content_type)}


def _form(text: str) -> dict[str, Any]:
    """The fields of a form; it ends at a line's end, and before a last name without ``=``."""
    line = text.replace("\r", "\n").partition("\n")[0]
    start, _, last = line.rpartition("&")
    pairs = parse_qsl(
        line if "=" in last else start, keep_blank_values=True, errors="surrogateescape"
    )
    return {name: bytearray(value.encode(errors="surrogateescape")) for name, value in pairs}


def _read(source: str, field: str, content_type: str, limit: int) -> dict[str, Any]:
    with open_source(source) as stream, reading(source):
        return body_request(field, read_bounded(stream, limit, source), content_type)


def _size(source: str) -> int | None:
    if is_url(source):
        return None
    try:
        return os.stat(source).st_size  # noqa: PTH116 - a Path for each of a million files costs more
    except OSError:
        return None
