"""``/v1/embeddings`` of ``mar serve``: what OpenAI's clients ask and understand."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from mar_serve import Answer, Extension, ServeError, strict_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from mar_serve import Call, ExtraRoute

    from mar_core import Reply

__all__ = ["OpenAIPaths"]

MOST_INPUTS = 2048
FORMS = (None, "float", "base64")
SERVER_ERROR = 500
# More than OpenAI has: what the handler takes beside a text.
PASSED_ON = ("prompt", "prompt_name", "task", "normalize")


def _object(required: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": {**required, **others}}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_REQUEST = _object(
    {
        "model": {**_TEXT, "description": "A model that is served."},
        "input": {
            "oneOf": [
                _TEXT,
                {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MOST_INPUTS},
            ]
        },
    },
    encoding_format={"type": "string", "enum": [form for form in FORMS if form]},
    dimensions={"type": "integer", "minimum": 1},
    **{name: {} for name in PASSED_ON},
)
_EMBEDDING = {
    "oneOf": [
        {"type": "array", "items": {"type": "number"}},
        {"type": "string", "description": "Little-endian float32 in base64."},
    ]
}
_ITEM = _object({"object": {"enum": ["embedding"]}, "index": _COUNT, "embedding": _EMBEDDING})
_ANSWER = _object(
    {
        "object": {"enum": ["list"]},
        "data": {"type": "array", "items": _ITEM},
        "model": {"type": "string"},
        "usage": _object({"prompt_tokens": _COUNT, "total_tokens": _COUNT}),
    }
)
# What goes wrong before a request is looked at is told as the server tells it.
_ERROR = {
    "anyOf": [
        _object({"error": _object({"message": {"type": "string"}, "type": {"type": "string"}})}),
        {"$ref": "#/components/schemas/Error"},
    ]
}
DESCRIBED = {
    "operationId": "embeddings",
    "summary": "Embeddings of texts, as OpenAI's clients ask for them.",
    "tags": ["inference"],
    "requestBody": {"required": True, "content": _content(_REQUEST)},
    "responses": {
        "200": {"description": "An embedding for each text", "content": _content(_ANSWER)},
        **{
            status: {"description": "OpenAI's error", "content": _content(_ERROR)}
            for status in ("400", "404", "408", "413", "500", "503", "507")
        },
    },
}


class OpenAIPaths(Extension):
    """Adds ``/v1/embeddings``."""

    def routes(self, kinds: Collection[str]) -> Iterator[ExtraRoute]:
        """The path, for the inference address."""
        if "inference" in kinds:
            yield "/v1/embeddings", embeddings, ["POST"], "inference"

    def openapi(self) -> dict[str, Any]:
        """The path as ``/openapi.json`` shows it."""
        return {"/v1/embeddings": {"post": DESCRIBED}}


async def embeddings(call: Call) -> Answer:
    """Answer a request for embeddings; an error has OpenAI's form, too."""
    try:
        asked = _read(await call.json())
        rows = [{**asked.parameters, "text": text, "usage": True} for text in asked.texts]
        replies = await call.ask(asked.model, rows)
        # Large answers take long to write, and others are waiting.
        body = await asyncio.to_thread(_answer, asked, replies)
        return Answer(body, content_type=b"application/json")
    except ServeError as error:
        kind = "server_error" if error.status >= SERVER_ERROR else "invalid_request_error"
        told = {"message": error.message, "type": kind, "param": None, "code": None}
        return Answer({"error": told}, status=error.status, headers=error.headers)


class _Asked(NamedTuple):
    model: str
    texts: list[str]
    packs: bool
    parameters: dict[str, Any]


def _read(body: Any) -> _Asked:
    """What is asked.

    Raises:
        ServeError: It makes no sense.
    """
    if not isinstance(body, dict):
        raise _bad("The body must be a JSON object.")
    model, form = body.get("model"), body.get("encoding_format")
    if not isinstance(model, str) or not model:
        raise _bad("'model' must be the name of a model that is served.")
    if form not in FORMS:
        raise _bad(f"'encoding_format' must be float or base64, not {form!r}.")
    parameters = {name: body[name] for name in PASSED_ON if body.get(name) is not None}
    dimensions = body.get("dimensions")
    if dimensions is not None:
        if type(dimensions) is not int or dimensions < 1:
            raise _bad(f"'dimensions' must be a whole number from 1, not {dimensions!r}.")
        parameters["dimensions"] = dimensions
    return _Asked(model, _texts(body.get("input")), form == "base64", parameters)


def _texts(given: Any) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise _bad("'input' must be a text or a list of texts.")
    if any(isinstance(one, (int, list)) for one in texts):
        raise _bad("'input' holds tokens; this server takes texts.")
    if not all(isinstance(one, str) and one for one in texts):
        raise _bad("'input' must hold texts that are not empty.")
    if len(texts) > MOST_INPUTS:
        raise _bad(f"'input' may hold {MOST_INPUTS} texts at most.")
    return texts


def _answer(asked: _Asked, replies: list[Reply]) -> bytes:
    data, tokens = [], 0
    for index, reply in enumerate(replies):
        found = _embedding(asked.model, reply)
        count = found.get("tokens")
        tokens += count if type(count) is int else 0
        values = found["embedding"]
        shown = _packed(values) if asked.packs else values
        data.append({"object": "embedding", "index": index, "embedding": shown})
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    answer = {"object": "list", "data": data, "model": asked.model, "usage": usage}
    return strict_json(answer, separators=(",", ":"))


def _embedding(model: str, reply: Reply) -> dict[str, Any]:
    try:
        found = json.loads(reply.body)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not _is_embedding(found.get("embedding")):
        raise _bad(f"The model {model!r} gives no embeddings.")
    return found


def _is_embedding(values: Any) -> bool:
    return isinstance(values, list) and all(type(one) in {int, float} for one in values)


def _packed(values: list[float]) -> str:
    """Little-endian float32, as OpenAI's clients unpack it."""
    try:
        packed = struct.pack(f"<{len(values)}f", *values)
    except OverflowError:
        raise _bad("An embedding is too large for base64; ask for 'float'.") from None
    return base64.b64encode(packed).decode()


def _bad(message: str) -> ServeError:
    return ServeError(400, "BadRequestException", message)
