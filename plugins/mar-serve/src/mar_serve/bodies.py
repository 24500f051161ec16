"""Bodies: read within bounds of size and time, unpacked within bounds."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

from mar_serve.errors import bad_request, body_too_slow, too_large, unsupported_encoding
from mar_serve.protocol import arrival_of

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import Any

    from starlette.types import Receive, Scope

__all__ = [
    "Gone",
    "check_announced",
    "content_type_of",
    "handler_headers",
    "header_of",
    "read_body",
]

_WINDOWS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 47}


class Gone(Exception):  # noqa: N818 - it is no error: nobody is there to be told
    """The client left before its request was whole."""


def header_of(scope: Scope, name: bytes) -> bytes | None:
    """A header's first value."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


def content_type_of(scope: Scope) -> str | None:
    """The content type that the client gave."""
    value = header_of(scope, b"content-type")
    return None if value is None else value.decode("latin-1")


def check_announced(scope: Scope, limit: int) -> None:
    """Refuse a body that says itself that it is too large.

    Raises:
        ServeError: It does.
    """
    announced = header_of(scope, b"content-length")
    if announced is not None and (len(announced) > 15 or int(announced) > limit):  # noqa: PLR2004 - petabytes
        raise too_large(limit)


async def read_body(scope: Scope, receive: Receive, *, limit: int, seconds: float) -> bytes:
    """Read a request's body.

    Args:
        scope: The request.
        receive: Gives the body piece by piece.
        limit: Bytes that it may have, packed and unpacked.
        seconds: How long the client may take.

    Raises:
        ServeError: It is too large, too slow, or packed in a way that is not known.
        Gone: The client has left.
    """
    check_announced(scope, limit)
    arrival = arrival_of(scope)
    there = arrival is not None and arrival.whole
    message = await receive() if there else await _first(receive, seconds)
    if message["type"] == "http.disconnect":
        raise Gone
    body = bytes(message.get("body", b""))
    if message.get("more_body"):
        body = await _rest(receive, body, limit, seconds)
    if len(body) > limit:
        raise too_large(limit)
    packed = header_of(scope, b"content-encoding")
    return body if packed in {None, b"identity"} else unpack(body, packed or b"", limit)


async def _first(receive: Receive, seconds: float) -> MutableMapping[str, Any]:
    """The first piece of a body that is not there yet."""
    try:
        async with asyncio.timeout(seconds):
            message: MutableMapping[str, Any] = await receive()
    except TimeoutError:
        raise body_too_slow() from None
    return message


async def _rest(receive: Receive, first: bytes, limit: int, seconds: float) -> bytes:
    pieces, size = [first], len(first)
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                piece = message.get("body", b"")
                pieces.append(piece)
                size += len(piece)
                if size > limit:
                    raise too_large(limit)
                if not message.get("more_body"):
                    return b"".join(pieces)
    except TimeoutError:
        raise body_too_slow() from None


def unpack(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Undo a Content-Encoding, within a bound: a small body may unpack to a very large one.

    Raises:
        ServeError: It is not known, not sound, or too large.
    """
    window = _WINDOWS.get(encoding.strip().lower())
    if window is None:
        raise unsupported_encoding(encoding.decode("latin-1"))
    try:
        inflate = zlib.decompressobj(window)
        plain = inflate.decompress(body, limit + 1)
    except zlib.error:
        raise bad_request("The body is not what its Content-Encoding says.") from None
    if len(plain) > limit:
        raise too_large(limit)
    if not inflate.eof:
        raise bad_request("The packed body ends too early.")
    return plain


def handler_headers(scope: Scope, *, url_path: str = "", explain: bool = False) -> dict[str, Any]:
    """A request's headers as handlers look them up: in the client's case, and the server's two.

    Args:
        scope: The request.
        url_path: What stood behind the version.
        explain: Whether to explain.
    """
    arrival = arrival_of(scope)
    raw = scope["headers"] if arrival is None else arrival.headers
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
    headers["url_path"] = url_path
    headers["explain"] = "True" if explain else "False"
    return headers
