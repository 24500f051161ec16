"""``/token``: a new key for who has the API key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_serve.answers import Answer
from mar_serve.errors import not_found

if TYPE_CHECKING:
    from mar_serve.calls import Call

__all__ = ["renew"]


async def renew(call: Call) -> Answer:
    """Replace the management or the inference key; the file has the new one."""
    tokens = call.server.tokens
    if tokens is None:
        raise not_found()
    tokens.renew(call.query.get("type", ""))
    return Answer(b"\n", content_type=b"application/json")
