"""Answers as TorchServe's clients know them: their headers, and JSON indented by two."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mar_core import to_json
from mar_serve.whole import Headers, send_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Send

    from mar_serve.config import ServerConfig
    from mar_serve.errors import ServeError

__all__ = [
    "JSON", "Answer", "Headers", "common_headers", "error_answer", "json_bytes", "send_to",
    "strict_json",
]  # fmt: skip

JSON = b"application/json"
BAD = 400


class Answer:
    """A whole answer: what the slow paths return.

    Args:
        body: Bytes, or a value that becomes JSON.
        status: The HTTP status.
        content_type: None for JSON where ``body`` is a value, and none at all for bytes.
        headers: More headers.
        closes: Whether the connection ends with it; None where its status says that.
    """

    __slots__ = ("body", "closes", "content_type", "headers", "status")

    def __init__(
        self,
        body: Any,
        *,
        status: int = 200,
        content_type: bytes | None = None,
        headers: Iterable[tuple[bytes, bytes]] = (),
        closes: bool | None = None,
    ) -> None:
        self.status = status
        self.closes = status >= BAD if closes is None else closes
        self.body = body if isinstance(body, bytes) else json_bytes(body)
        self.content_type = JSON if not isinstance(body, bytes) else content_type
        self.headers = list(headers)


def json_bytes(value: Any) -> bytes:
    """A value as TorchServe writes JSON."""
    return strict_json(value, indent=2) + b"\n"


def strict_json(value: Any, **how: Any) -> bytes:
    """A value as JSON that every client can read, whatever a model's numbers are.

    NaN and the infinities, which JSON does not have, become the strings ``NaN``, ``Infinity`` and
    ``-Infinity``, as in the files of ``mar run``. Python writes them bare, and so does TorchServe:
    what a handler answers on TorchServe's own paths goes as it is.

    Args:
        value: The value.
        **how: Handed to ``json.dumps``.
    """
    try:
        return json.dumps(value, allow_nan=False, **how).encode()
    except ValueError:
        return json.dumps(to_json(value), **how).encode()


def common_headers(config: ServerConfig) -> Headers:
    """What every answer carries."""
    headers = [
        (b"pragma", b"no-cache"),
        (b"cache-control", b"no-cache; no-store, must-revalidate, private"),
        (b"expires", b"Thu, 01 Jan 1970 00:00:00 UTC"),
    ]
    for name, value in (
        (b"origin", config.cors_origin),
        (b"methods", config.cors_methods),
        (b"headers", config.cors_headers),
    ):
        if value:
            headers.append((b"access-control-allow-" + name, value.encode("latin-1", "replace")))
    return headers


def error_answer(error: ServeError) -> Answer:
    """The body of an error; a body that was too large gets none."""
    if error.status == 413:  # noqa: PLR2004 - its number is its name
        return Answer(b"", status=413, headers=error.headers)
    return Answer(
        _error_body(error),
        status=error.status,
        content_type=JSON,
        headers=error.headers,
        closes=error.closes,
    )


def _error_body(error: ServeError) -> bytes:
    if not error.more:
        return _short_body(error.status, error.kind, error.message)
    fields = {"code": error.status, "type": error.kind, "message": error.message}
    return json_bytes({**fields, **error.more})


# To write JSON with indents takes longer than all else in refusing one request of a crowd.
@lru_cache(maxsize=64)
def _short_body(status: int, kind: str, message: str) -> bytes:
    return json_bytes({"code": status, "type": kind, "message": message})


async def send_to(send: Send, answer: Answer, common: Headers, request_id: str) -> None:
    """Send an answer; most of 400 and up close the connection, as TorchServe's do."""
    headers = [(b"x-request-id", request_id.encode()), *common, *answer.headers]
    if answer.content_type is not None:
        headers.append((b"content-type", answer.content_type))
    headers.append((b"content-length", str(len(answer.body)).encode()))
    if answer.closes:
        headers.append((b"connection", b"close"))
    await send_whole(send, answer.status, headers, answer.body)
