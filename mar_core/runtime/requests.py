"""A request as its client sent it, and the row, values and headers that TorchServe makes of it."""

from __future__ import annotations

import functools
import json
import logging
import mimetypes
import urllib.parse
from typing import TYPE_CHECKING, Any, NamedTuple

from mar_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BINARY",
    "FORMS",
    "JSON",
    "MULTIPART",
    "REQUEST_KEYS",
    "URLENCODED",
    "Request",
    "decode",
    "guess_type",
    "media_type",
    "request_headers",
    "row_of",
]

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
FORMS = frozenset({URLENCODED, MULTIPART})
# The length of a request that has been read: id, headers, row.
READ = 3
# More fields than any form has; each costs memory.
MOST_FIELDS = 10_000
BINARY = "application/octet-stream"
JSON = "application/json"
# A dict with one of these keys is a request as a handler sees it.
REQUEST_KEYS = frozenset({"data", "body"})
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


class Request(NamedTuple):
    """One request to a worker; its body is decoded there.

    Attributes:
        id: What ``context.get_request_id`` gives.
        headers: What ``context.get_request_header`` sees, in the client's case. ``explain`` set to
            ``"True"`` asks for an explanation; the first request speaks for its call.
        body: The body as sent, or None where ``row`` is given.
        content_type: The body's content type with its parameters, or None.
        fields: Fields of the row that do not come from the body, as TorchServe takes some from the
            query.
        decode: Parse JSON and text; otherwise the handler gets bytes.
        row: The row as the handler sees it, in place of a body.
    """

    id: str
    headers: Mapping[str, Any]
    body: bytes | None = None
    content_type: str | None = None
    fields: Mapping[str, bytes | str] | None = None
    decode: bool = True
    row: dict[str, Any] | None = None

    def form_field(self, name: str) -> str | None:
        """A field of the form that the body is; None where it is none, or has no such field.

        Args:
            name: The field.

        Raises:
            InputError: The body is not the form that its content type says.
        """
        value = _fields(self.body or b"", self.content_type or "").get(name)
        return None if value is None else value[0].decode("utf-8", "replace")


def row_of(request: tuple[Any, ...]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The row and the headers that the handler sees.

    Args:
        request: The fields of a ``Request``, in order; or id, headers and row alone.

    Returns:
        The row: one key for each field of a form, else ``body``. The headers: the content type of
        each key as ``{key: {"content-type": …}}``, overlaid by the request's own.

    Raises:
        InputError: The body is not the form that its content type says.
    """
    if len(request) == READ:
        return request[2], request[1]
    _, headers, body, content_type, fields, decoded, row = request
    if row is not None:
        return row, headers
    kind = content_type or ""
    if _media(kind) in FORMS:
        parts = _fields(body or b"", kind)
        row = {name: _value(value, own, decoded=decoded) for name, (value, own) in parts.items()}
        types = {name: {"content-type": media_type(own)} for name, (_, own) in parts.items()}
    else:
        row = {} if body is None else {"body": _value(body, kind, decoded=decoded)}
        types = {"body": {"content-type": media_type(kind)}} if row else {}
    for name, value in (fields or {}).items():
        row.setdefault(name, bytearray(value.encode() if isinstance(value, str) else value))
    return row, {**types, **headers}


def _media(kind: str) -> str:
    return media_type(kind).lower() if kind else ""


def _fields(body: bytes, kind: str) -> dict[str, tuple[bytes, str]]:
    """The fields of a form, each with its content type; none where the body is no form."""
    media = _media(kind)
    if media == MULTIPART:
        return _multipart(body, kind)
    return _urlencoded(body) if media == URLENCODED else {}


def _value(value: bytes, kind: str, *, decoded: bool) -> Any:
    return decode(value, kind) if decoded and kind else bytearray(value)


def _urlencoded(body: bytes) -> dict[str, tuple[bytes, str]]:
    """The fields; as in TorchServe a form ends at a line's end, and before a last name alone."""
    line = body.replace(b"\r", b"\n").partition(b"\n")[0]
    start, _, last = line.rpartition(b"&")
    try:
        # Latin-1 there and back: values are bytes, whatever they mean.
        pairs = urllib.parse.parse_qsl(
            (line if b"=" in last else start).decode("latin-1"),
            keep_blank_values=True,
            encoding="latin-1",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError as error:
        raise InputError(f"The form cannot be read: {error}.") from error
    return {_name(name.encode("latin-1")): (value.encode("latin-1"), "") for name, value in pairs}


def _multipart(body: bytes, content_type: str) -> dict[str, tuple[bytes, str]]:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise InputError("The form cannot be read: its content type has no boundary.")
    form = _Form()
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise InputError(f"The form cannot be read: {error}.") from error
    if not form.whole:
        raise InputError("The form cannot be read: it ends before its last boundary.")
    return form.parts


class _Form:
    """Collects the parts of a multipart body; of two with one name the last counts."""

    def __init__(self) -> None:
        self.parts: dict[str, tuple[bytes, str]] = {}
        self.whole = False
        self._headers: dict[bytes, bytes] = {}
        self._header = (bytearray(), bytearray())
        self._data = bytearray()
        self._count = 0

    def callbacks(self) -> dict[str, Any]:
        return {
            "on_part_begin": self._begin,
            "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
            "on_part_end": self._end,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._count += 1
        if self._count > MOST_FIELDS:
            raise InputError(f"The form has more than {MOST_FIELDS:,} fields.")
        self._headers, self._data = {}, bytearray()

    def _header_end(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = (bytearray(), bytearray())

    def _end(self) -> None:
        from python_multipart.multipart import parse_options_header

        disposition, options = parse_options_header(self._headers.get(b"content-disposition"))
        name = options.get(b"name")
        if disposition != b"form-data" or name is None:
            raise InputError("The form cannot be read: a part of it has no name.")
        # Only an attached file has a type: TorchServe's server does not look at a field's.
        attached = b"filename" in options
        kind = self._headers.get(b"content-type", b"") if attached else b""
        self.parts[_name(name)] = (bytes(self._data), kind.decode("latin-1"))

    def _finish(self) -> None:
        self.whole = True


def _name(name: bytes) -> str:
    return name.decode("utf-8", errors="replace")
