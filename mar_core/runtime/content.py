"""What TorchServe makes of a body or a form's field: which Python value for which content type."""

from __future__ import annotations

import functools
import json
import logging
import mimetypes
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BINARY", "JSON", "decode", "guess_type", "media_type", "request_headers"]

BINARY = "application/octet-stream"
JSON = "application/json"
# Not in the table of every Python that mar runs on, or not the same in all.
MORE_TYPES = {
    ".avif": "image/avif",
    ".csv": "text/csv",
    ".flac": "audio/flac",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown",
    ".ogg": "audio/ogg",
    ".tsv": "text/tab-separated-values",
    ".wav": "audio/wav",
    ".webp": "image/webp",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}

ALWAYS = {"explain": "False", "url_path": ""}

logger = logging.getLogger(__name__)


@functools.cache
def _table() -> mimetypes.MimeTypes:
    """Python's own table: what the machine's ``/etc/mime.types`` says must not change a result."""
    table = mimetypes.MimeTypes()
    for ending, content_type in MORE_TYPES.items():
        table.add_type(content_type, ending)
    return table


def guess_type(name: str) -> str:
    """The content type that a file's ending says, or ``application/octet-stream``."""
    content_type, encoding = _table().guess_type(name.rpartition("/")[2])
    return BINARY if content_type is None or encoding is not None else content_type


def media_type(content_type: str) -> str:
    """A content type without what follows its ``;``, as TorchServe's server hands it on."""
    return content_type.partition(";")[0].strip()


def decode(value: bytes, content_type: str) -> Any:
    """The value that a TorchServe worker hands to the handler.

    Args:
        value: The bytes as sent.
        content_type: Their content type; its case counts, what follows a ``;`` does not.

    Returns:
        The parsed document for ``application/json``, a ``str`` for ``text*``, else a ``bytearray``;
        a ``bytearray`` too, with a warning, when the bytes are not what the type says.
    """
    kind = media_type(content_type)
    try:
        if kind == JSON:
            return json.loads(value.decode("utf-8"))
        if kind.startswith("text"):
            return value.decode("utf-8")
    except (ValueError, RecursionError) as error:
        logger.warning("not valid %s (%s); the handler gets the bytes", kind, error)
    return bytearray(value)


def request_headers(
    fields: Mapping[str, str], headers: Mapping[str, str], *, content_type: str = ""
) -> dict[str, Any]:
    """The headers of a request as ``context.get_request_header`` gives them.

    As in TorchServe ``explain`` and ``url_path`` are always among them, and names keep their case.

    Args:
        fields: The content type of each field; empty where it has none.
        headers: The request's own headers; they win.
        content_type: The content type of the whole request.
    """
    own = {name.lower() for name in headers}
    whole = {} if not content_type or "content-type" in own else {"Content-Type": content_type}
    parts = {name: {"content-type": media_type(kind)} for name, kind in fields.items()}
    return {**parts, **ALWAYS, **whole, **headers}
