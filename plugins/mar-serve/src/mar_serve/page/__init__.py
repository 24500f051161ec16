"""The page at ``/``: which models there are, how they do, and a request to try.

Plain files that the package brings, and those of mar's that draw answers. The page asks
``page/models.json`` how the models do, and ``predictions/…`` like any client; what a model answers
goes into it as text only. Its policy allows nothing from elsewhere, no inline code, and no HTML
made from strings.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from mar_core import page_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

__all__ = ["HEADERS", "routes"]

# `blob:` for the pictures that the user drops; there is nothing else to load.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
NOT_FOUND, NOT_ALLOWED, NOT_MODIFIED = 404, 405, 304


def routes(snapshot: Callable[[], Mapping[str, Any]], *, for_browsers: bool = False) -> list[Route]:
    """The page's routes, for the inference listener.

    Args:
        snapshot: How the models do now, as plain JSON values; asked every two seconds by each open
            page.
        for_browsers: Whether the page is only for those who say that they take HTML.
    """

    async def front(request: Request) -> Response:
        if for_browsers and "text/html" not in request.headers.get("accept", ""):
            raise HTTPException(NOT_ALLOWED)
        return _file(request, "index.html")

    async def file(request: Request) -> Response:
        return _file(request, request.path_params["file"])

    async def models(_: Request) -> Response:
        body = json.dumps(snapshot(), ensure_ascii=True, allow_nan=False)
        headers = {**HEADERS, "cache-control": "no-store"}
        return Response(body, headers=headers, media_type="application/json")

    return [
        Route("/", front, methods=["GET"]),
        Route("/page/models.json", models, methods=["GET"]),
        Route("/page/{file}", file, methods=["GET"]),
    ]


def _file(request: Request, name: str) -> Response:
    content, tag = _files().get(name, (b"", ""))
    if not tag:
        return Response(status_code=NOT_FOUND, headers=HEADERS)
    # A server that was updated shows its new page at once: the tag is asked about each time.
    headers = {**HEADERS, "etag": tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=NOT_MODIFIED, headers=headers)
    return Response(content, headers=headers, media_type=TYPES[name.rpartition(".")[2]])


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    """Each file's bytes and tag: read once, so that no path of a request ever reaches the disk."""
    own = {entry.name: entry.read_bytes() for entry in (files(__name__) / "static").iterdir()}
    return {
        name: (content, f'"{hashlib.sha256(content).hexdigest()[:20]}"')
        for name, content in {**page_files(), **own}.items()
    }
