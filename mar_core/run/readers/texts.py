"""A file of texts, one on each line."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

from mar_core.records import Input
from mar_core.run.readers.files import body_request
from mar_core.run.readers.sources import broken, open_rows, read_lines, too_large
from mar_core.run.readers.stdin import STDIN, binary_stdin
from mar_core.runtime.content import request_headers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.records import ReadOptions

__all__ = ["text_inputs"]

TEXT = "text/plain"


def text_inputs(source: str, options: ReadOptions) -> Iterator[Input]:
    """One input for each line that is not empty, called ``source:12``; its end is not sent.

    Raises:
        InputError: The file cannot be opened.
    """
    field, limit = options.field_name, options.max_input_size
    kind = "" if options.raw else TEXT
    headers = request_headers({field: kind}, options.headers, content_type=kind)
    opened = contextlib.nullcontext(binary_stdin()) if source == STDIN else open_rows(source)
    with opened as stream:
        for number, line in enumerate(read_lines(stream, limit), start=1):
            name = f"{source}:{number}"
            if line is None:
                error = too_large(name, limit)
                yield broken(name, error.message, hint=error.hint)
            elif text := line.rstrip(b"\r\n"):
                read = functools.partial(body_request, field, text, kind)
                yield Input(id=name, read=read, headers=headers, size=len(text))
