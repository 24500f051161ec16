"""TorchServe's management API over HTTP, and the upload of an archive."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from mar_serve.answers import Answer
from mar_serve.bodies import header_of
from mar_serve.errors import bad_request, method_not_allowed
from mar_serve.managing import MOST, flag, number
from mar_serve.plain import described_model
from mar_serve.upload import received

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_serve.calls import Call, Handler
    from mar_serve.managing import Told

__all__ = ["TABLE"]

MOST_BYTES = 64 << 10


async def models(call: Call) -> Answer:
    """``GET /models`` and ``POST /models``."""
    management = call.server.management
    if call.method == "POST" and management.enabled:
        return _told(await management.register(await _given(call)))
    if call.method in {"GET", "HEAD"}:
        query = call.query
        limit = number(query.get("limit"), MOST)
        return Answer(management.listed(limit, number(query.get("next_page_token"), 0)))
    raise method_not_allowed()


async def _given(call: Call) -> Mapping[str, Any]:
    if call.media_type != "application/json":
        return call.query
    given = relaxed(await call.body())
    if not isinstance(given, dict):
        raise bad_request("The body must be a JSON object.")
    return given


async def model(call: Call) -> Answer:
    """``/models/{model}`` and ``/models/{model}/{version}``."""
    name, version = call.params["model"], call.params.get("version")
    management = call.server.management
    if call.method in {"GET", "HEAD"}:
        customized = flag(call.query.get("customized"), default=False)
        return Answer(await management.describe(name, version, customized=customized))
    if call.method == "PUT":
        if _has_body(call) and version is None:
            return await _upload(call, name)
        asked = version or call.query.get("model_version")
        return _told(await management.scale(name, asked, call.query))
    if call.method == "DELETE" and management.enabled:
        return _told(await management.unregister(name, version))
    if call.method == "OPTIONS":
        found = call.server.repository.find(name, version)
        return Answer(described_model(found))
    raise method_not_allowed()


def relaxed(body: bytes) -> Any:
    """JSON as TorchServe's parser reads it: strings may stand in single quotes, or in none.

    Raises:
        ServeError: It is nothing of that kind.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        pass
    import yaml

    # YAML reads all that; an alias, with which a short text becomes a large value, is none of it.
    if len(body) > MOST_BYTES or b"*" in body:
        raise bad_request("The body is not valid JSON.")
    try:
        return yaml.safe_load(body)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise bad_request("The body is not valid JSON.") from None


def _told(told: Told) -> Answer:
    status, body = told
    return Answer(body, status=status)


def _has_body(call: Call) -> bool:
    length = header_of(call.scope, b"content-length")
    return header_of(call.scope, b"transfer-encoding") is not None or length not in {None, b"0"}


async def _upload(call: Call, name: str) -> Answer:
    management = call.server.management
    if not management.enabled:
        raise method_not_allowed()
    found = await received(call, name)
    given = {"initial_workers": 1, **call.query}
    try:
        return _told(await management.take_up(found, given, name=name))
    except BaseException:
        with contextlib.suppress(OSError, AttributeError):
            found.source.unlink()  # type: ignore[union-attr]
        raise


async def set_default(call: Call) -> Answer:
    """``PUT /models/{model}/{version}/set-default``."""
    params = call.params
    return _told(await call.server.management.set_default(params["model"], params["version"]))


TABLE: tuple[tuple[str, Handler, list[str] | None], ...] = (
    ("/models", models, None),
    ("/models/{model}", model, None),
    ("/models/{model}/{version}", model, None),
    ("/models/{model}/{version}/set-default", set_default, ["PUT"]),
)
