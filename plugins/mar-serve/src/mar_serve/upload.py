"""An archive that a client sends: written to disk as it comes, and named when it is whole."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
from typing import TYPE_CHECKING

from mar_serve.bodies import Gone, check_announced
from mar_serve.errors import bad_request, body_too_slow, too_large
from mar_serve.sources import Found

if TYPE_CHECKING:
    from pathlib import Path

    from mar_serve.calls import Call

__all__ = ["received"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
ZIP, GZIP = b"PK\x03\x04", b"\x1f\x8b"
# A client that sends nothing for so long has gone.
SILENT_SECONDS = 30.0


async def received(call: Call, name: str) -> Found:
    """Take an archive in.

    Args:
        call: The request whose body it is.
        name: What the model will be called.

    Raises:
        ServeError: It is too large, too slow, or no archive.
        Gone: The client has left.
    """
    if not NAME.fullmatch(name):
        raise bad_request("A model's name has letters, digits, '_', '-' and '.' only.")
    limit = call.server.config.max_upload_size
    check_announced(call.scope, limit)
    folder = call.server.uploads
    part = folder / f".{call.request_id}.part"
    try:
        digest, head = await _write(call, part, limit)
        ending = ".mar" if head.startswith(ZIP) else ".tar.gz" if head.startswith(GZIP) else ""
        if not ending:
            raise bad_request("The body is no archive: neither a zip nor a gzipped tar.")
        target = folder / f"{name}-{digest[:12]}{ending}"
        part.rename(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
    return Found(target, target.name)


async def _write(call: Call, part: Path, limit: int) -> tuple[str, bytes]:
    """The digest and the first bytes of what was written."""
    digest, size, head = hashlib.sha256(), 0, b""
    number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "wb") as file:
        while True:
            try:
                async with asyncio.timeout(SILENT_SECONDS):
                    message = await call.receive()
            except TimeoutError:
                raise body_too_slow() from None
            if message["type"] == "http.disconnect":
                raise Gone
            piece = message.get("body", b"")
            size += len(piece)
            if size > limit:
                raise too_large(limit)
            head = (head + piece[:4])[:4]
            digest.update(piece)
            await asyncio.to_thread(file.write, piece)
            if not message.get("more_body"):
                return digest.hexdigest(), head
