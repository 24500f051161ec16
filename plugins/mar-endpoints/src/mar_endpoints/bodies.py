"""A request's body, its type and what the client accepts, as the server handed them on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mar_core import PredictionException, as_text, payload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core import Context

__all__ = ["ANY", "CSV", "JSON", "NPY", "accepted", "as_sent", "body_of", "header", "media_type"]

JSON, CSV, NPY, ANY = "application/json", "text/csv", "application/x-npy", "*/*"
BAD_REQUEST = 400


def header(context: Context, index: int, name: str) -> str | None:
    """A header of one request, whatever its case; None where it was not sent."""
    for key, value in context.get_all_request_header(index).items():
        if key.lower() == name and isinstance(value, str):
            return value
    return None


def media_type(content_type: str) -> str:
    """A content type in lower case, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def accepted(accept: str) -> list[str]:
    """The content types of an Accept header, in its order."""
    return [kind for part in accept.split(",") if (kind := media_type(part))]


def body_of(row: Mapping[str, Any]) -> Any:
    """The body of one request: parsed where the server parses, else bytes.

    Raises:
        PredictionException: There is none.
    """
    body = payload(row, form=True)
    if body is not row:
        return body
    if len(row) == 1:
        return next(iter(row.values()))
    raise PredictionException("The request has no body.", BAD_REQUEST)


def as_sent(body: Any, content_type: str | None, *, default: str) -> tuple[str | bytes, str]:
    """A body as its client sent it, with its content type.

    A server of TorchServe's kind parses JSON before the handler sees it; what was parsed is written
    down again. Text is a string and everything else bytes.

    Args:
        body: The body as the handler gets it.
        content_type: What the client said that it is.
        default: What it is taken for where the client said nothing.
    """
    kind = content_type or default
    if isinstance(body, (bytes, bytearray, memoryview)):
        raw = bytes(body)
        return (as_text(raw, "the body") if media_type(kind) in {JSON, CSV} else raw), kind
    if isinstance(body, str) and (content_type is None or media_type(kind) != JSON):
        return body, kind
    return json.dumps(body, default=_plain), kind if media_type(kind) == JSON else JSON


def _plain(value: Any) -> Any:
    """Arrays and tensors, which a caller in Python may give, as lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise PredictionException(f"The request holds a {type(value).__name__}.", BAD_REQUEST)
