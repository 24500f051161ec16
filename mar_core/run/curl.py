"""Requests in curl's own words: ``-F``, ``-d``, ``-T``, ``-H``, so that its lines can be pasted."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from mar_core.errors import UsageError
from mar_core.records import Input
from mar_core.run.readers.files import body_request
from mar_core.run.readers.sources import open_source, read_bounded, reading
from mar_core.run.readers.stdin import STDIN, binary_stdin
from mar_core.runtime.requests import (
    BINARY,
    MULTIPART,
    URLENCODED,
    decode,
    media_type,
    request_headers,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mar_core.records import ReadOptions

__all__ = [
    "DataPart",
    "FormField",
    "content_type_of",
    "data_input",
    "form_input",
    "parse_data",
    "parse_field",
    "parse_headers",
    "upload_input",
]

# What curl guesses; a .json file is not among them, so that it needs `;type=application/json`.
CURL_TYPES = {
    ".gif": "image/gif",
    ".htm": "text/html",
    ".html": "text/html",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".xml": "application/xml",
}
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_OPTION = re.compile(r";\s*(type|filename)=(\"(?:[^\"\\]|\\.)*\"|.*?)(?=;\s*(?:type|filename)=|$)")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One ``-F`` of curl's.

    Attributes:
        name: The field's name.
        value: Its text, or None when a file holds it.
        path: The file that holds it, ``-`` for standard input, or None.
        content_type: The type that TorchServe is told: that of an attached file; plain fields have
            none, whatever the user says.
    """

    name: str
    value: str | None = None
    path: str | None = None
    content_type: str = ""

    def read(self, limit: int) -> Any:
        """The value that the handler gets.

        Args:
            limit: The most bytes that it may take.

        Raises:
            InputError: The file cannot be read, or is too large.
        """
        if self.path is None:
            content = (self.value or "").encode(errors="surrogateescape")
        else:
            content = _content(self.path, limit)
        return decode(content, self.content_type)


def parse_field(word: str) -> list[FormField]:
    """The fields that the argument of one ``-F`` stands for; several where it names several files.

    ``name=value``, ``name=@file`` with ``;type=…`` and ``;filename=…`` behind it, ``name=@a,b``,
    ``name=<file`` for a file's content as a plain field. Quotes keep ``;`` and ``,`` together.

    Raises:
        UsageError: There is no name, or no ``=``.
    """
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise UsageError(
            f"-F {word!r} is no field.",
            hint="Write `-F name=value` or `-F 'name=@photo.png;type=image/png'`.",
        )
    text, options = _split_options(value)
    if text.startswith("@"):
        paths = _split_files(text[1:])
        return [_attached(name, path, options) for path in paths]
    if text.startswith("<"):
        return [FormField(name=name, path=_unquoted(text[1:]))]
    return [FormField(name=name, value=_unquoted(text))]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPart:
    """One ``-d`` of curl's, or one of its siblings.

    Attributes:
        value: Its text, or None when a file holds it.
        path: The file that holds it, ``-`` for standard input, or None.
        as_it_is: Keep line ends, as ``--data-binary`` does; ``-d @FILE`` drops them.
    """

    value: str | None = None
    path: str | None = None
    as_it_is: bool = False

    def read(self, limit: int) -> bytes:
        """Its bytes.

        Args:
            limit: The most bytes that it may take.

        Raises:
            InputError: The file cannot be read, or is too large.
        """
        if self.path is None:
            return (self.value or "").encode(errors="surrogateescape")
        content = _content(self.path, limit)
        return content if self.as_it_is else content.translate(None, b"\r\n\0")


def parse_data(word: str, *, binary: bool = False) -> DataPart:
    """What the argument of one ``-d`` stands for: text, or ``@file``.

    Args:
        word: The argument.
        binary: It is one of ``--data-binary``.
    """
    if word.startswith("@"):
        return DataPart(path=word[1:], as_it_is=binary)
    return DataPart(value=word)


def content_type_of(headers: Mapping[str, str]) -> str | None:
    """The content type among headers, whatever the case of its name."""
    found = [value for name, value in headers.items() if name.lower() == "content-type"]
    return found[-1] if found else None


def parse_headers(words: Iterable[str]) -> dict[str, str]:
    """Headers as curl's ``-H`` takes them: ``name: value``; ``name;`` sends an empty one.

    Raises:
        UsageError: A word is no header.
    """
    return dict(_header(word) for word in words)


def form_input(fields: Sequence[FormField], options: ReadOptions) -> Input:
    """The input that sends a form; as in TorchServe, of two fields with one name the last counts.

    Args:
        fields: What ``parse_field`` gave.
        options: Its headers, and how large it may be.
    """
    last = {field.name: field for field in fields}
    types = {field.name: field.content_type for field in last.values()}
    return Input(
        id="form",
        read=functools.partial(_read_form, tuple(last.values()), options.max_input_size),
        headers=request_headers(types, options.headers, content_type=MULTIPART),
    )


def upload_input(path: str, options: ReadOptions) -> Input:
    """The input that sends a file as ``curl -T`` does: its bytes, of no type unless one is said."""
    kind = options.content_type or ""
    return Input(
        id=path,
        read=functools.partial(_read_upload, path, kind, options),
        headers=request_headers({options.field_name: kind}, options.headers, content_type=kind),
    )


def data_input(parts: Sequence[DataPart], options: ReadOptions) -> Input:
    """The input that sends a body as ``curl -d`` does: a form's fields unless a type is said.

    Args:
        parts: What ``parse_data`` gave; curl puts ``&`` between them.
        options: Headers and content type, and how large it may be.
    """
    kind = options.content_type or URLENCODED
    (only, *more) = parts
    return Input(
        id=only.path if only.path is not None and not more else "data",
        read=functools.partial(_read_data, tuple(parts), kind, options),
        headers=request_headers({options.field_name: kind}, options.headers, content_type=kind),
    )


def _read_upload(path: str, kind: str, options: ReadOptions) -> dict[str, Any]:
    return body_request(options.field_name, _content(path, options.max_input_size), kind)


def _read_data(parts: tuple[DataPart, ...], kind: str, options: ReadOptions) -> dict[str, Any]:
    body = b"&".join(part.read(options.max_input_size) for part in parts)
    return body_request(options.field_name, body, kind)


def _content(path: str, limit: int) -> bytes:
    if path == STDIN:
        return read_bounded(binary_stdin(), limit, STDIN)
    with open_source(path) as stream, reading(path):
        return read_bounded(stream, limit, path)


def _read_form(fields: tuple[FormField, ...], limit: int) -> dict[str, Any]:
    return {field.name: field.read(limit) for field in fields}


def _attached(name: str, path: str, options: Mapping[str, str]) -> FormField:
    ending = PurePath(options.get("filename", path)).suffix.lower()
    kind = options.get("type") or CURL_TYPES.get(ending, BINARY)
    return FormField(name=name, path=path, content_type=media_type(kind))


def _split_options(value: str) -> tuple[str, dict[str, str]]:
    """What stands before the first ``;type=`` or ``;filename=``, and those options."""
    quoted = re.match(r"[@<]?" + _QUOTED.pattern, value)
    start = _OPTION.search(value, quoted.end() if quoted else 0)
    if start is None:
        return value, {}
    found = _OPTION.finditer(value, start.start())
    options = {match[1]: _unquoted(match[2].strip()) for match in found}
    return value[: start.start()], options


def _split_files(text: str) -> list[str]:
    names = re.findall(r"\s*(\"(?:[^\"\\]|\\.)*\"|[^,]+)\s*(?:,|$)", text)
    return [_unquoted(name) for name in names] or [text]


def _unquoted(text: str) -> str:
    quoted = _QUOTED.fullmatch(text)
    return re.sub(r"\\([\\\"])", r"\1", quoted[1]) if quoted else text


def _header(word: str) -> tuple[str, str]:
    name, colon, value = word.partition(":")
    if not colon and name.endswith(";"):
        name, colon = name[:-1], ";"
    if not colon or not _HEADER_NAME.fullmatch(name):
        raise UsageError(f"-H {word!r} is no header.", hint="Write `-H 'name: value'`.")
    return name, value.strip()
