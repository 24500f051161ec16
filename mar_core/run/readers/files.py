"""A file as one request, whatever it holds."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from mar_core.records import Input
from mar_core.run.readers.sources import (
    ending_path,
    is_file,
    is_url,
    open_source,
    read_bounded,
    reading,
)
from mar_core.runtime.requests import FORMS, JSON, Request, media_type, request_headers, row_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.records import ReadOptions

__all__ = ["FileReader", "body_input", "body_request", "file_input", "sent_type"]


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
    kind = sent_type(ending_path(source), options)
    return Input(
        id=source,
        read=functools.partial(_read, source, options.field_name, kind, options.max_input_size),
        headers=request_headers({options.field_name: kind}, options.headers, content_type=kind),
        size=_size(source),
    )


def sent_type(name: str, options: ReadOptions) -> str:
    """The content type that a file is sent with: none, as ``curl -T`` does, but for JSON."""
    if options.content_type is not None or options.raw:
        return options.content_type or ""
    return JSON if name.lower().endswith(".json") else ""


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
    """The request that a body is: one field, or those of a form.

    Raises:
        InputError: It is not the form that its type says.
    """
    row, _ = row_of(Request(id="", headers={}, body=value, content_type=content_type or None))
    # A form has its own fields; one of them may be called so, too.
    if media_type(content_type).lower() in FORMS or field == "body":
        return row
    return {field: row["body"]}


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
