"""TorchServe's inference paths beside ``/predictions``: ping, explanations, old routes, metrics."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING, Any

from mar_serve import openapi
from mar_serve.answers import Answer, send_to
from mar_serve.errors import stopping
from mar_serve.extension import items_of
from mar_serve.telemetry import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import Scope, Send

    from mar_serve.answers import Headers
    from mar_serve.calls import Call, Handler
    from mar_serve.inference import Inference
    from mar_serve.version import ModelVersion

__all__ = [
    "described_for",
    "described_model",
    "explanations",
    "metrics",
    "old_predictions",
    "ping",
    "predictions",
    "preflight",
]

UNHEALTHY = 500


async def ping(call: Call) -> Answer:
    """Whether every model answers."""
    if call.server.ready:
        return Answer({"status": "Healthy"})
    return Answer({"status": "Unhealthy"}, status=UNHEALTHY)


async def metrics(call: Call) -> Answer:
    """What is counted, for Prometheus."""
    text = call.scope["query_string"].decode("latin-1")
    names = [value for name, value in urllib.parse.parse_qsl(text) if name == "name[]"]
    body = call.server.telemetry.text(names)
    return Answer(body, content_type=CONTENT_TYPE.encode())


def described_model(found: ModelVersion) -> dict[str, Any]:
    """The OpenAPI description of one model."""
    return openapi.model_document(found.name, found.version, signature=found.prepared.signature)


def described_for(kinds: frozenset[str], added: Collection[str]) -> Handler:
    """The OpenAPI description of a listener.

    Args:
        kinds: What it is for.
        added: The paths that extensions add to it.
    """

    async def described(call: Call) -> Answer:
        server = call.server
        more = items_of(server.extensions, added)
        return Answer(openapi.document(kinds, server.repository.signatures, more))

    return described


def predictions(inference: Inference) -> Handler:
    """``/predictions``, as far as it is not the hot path."""
    return _predictions(inference, explains=False)


def explanations(inference: Inference) -> Handler:
    """``/explanations``."""
    return _predictions(inference, explains=True)


def _predictions(inference: Inference, *, explains: bool) -> Handler:
    async def answer(call: Call) -> Answer | None:
        params = call.params
        if call.method == "OPTIONS":
            found = call.server.repository.find(params["model"], params.get("version"))
            return Answer(described_model(found))
        await _predict(call, inference, explain=explains)
        return None

    return answer


def old_predictions(inference: Inference) -> Handler:
    """``/{model}/predict``: its query's parameters are fields of the row, too."""

    async def answer(call: Call) -> Answer | None:
        await _predict(call, inference, explain=False, with_query=True)
        return None

    return answer


async def _predict(
    call: Call, inference: Inference, *, explain: bool, with_query: bool = False
) -> None:
    if call.server.stopping:
        raise stopping()
    params = call.params
    await inference.predict(
        call.scope,
        call.receive,
        call.send,
        name=params["model"],
        version=params.get("version"),
        url_path=params.get("rest", ""),
        explain=explain,
        fields=call.query if with_query else None,
        request_id=call.request_id,
    )


async def preflight(scope: Scope, send: Send, common: Headers, request_id: str) -> None:
    """Answer a browser that asks whether a page of another site may send a request."""
    asked = [
        (b"access-control-allow-" + what, value)
        for what, header in (
            (b"methods", b"access-control-request-method"),
            (b"headers", b"access-control-request-headers"),
        )
        for name, value in scope["headers"]
        if name == header
    ]
    set_already = {name for name, _ in common}
    headers = [(name, value) for name, value in asked if name not in set_already]
    await send_to(send, Answer(b"", headers=headers), common, request_id)
