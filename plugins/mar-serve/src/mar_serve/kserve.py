"""KServe's first protocol: ``instances`` in, ``predictions`` out, one row for each instance.

With a request envelope, or where the server was told to, the body reaches the handler as it came:
TorchServe left these paths to the envelope.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from mar_serve.answers import Answer
from mar_serve.calls import parsed
from mar_serve.errors import bad_request, stopping
from mar_serve.rows import ask_rows

if TYPE_CHECKING:
    from mar_core import Reply
    from mar_serve.calls import Call
    from mar_serve.inference import Inference

__all__ = ["V1", "is_passed_on", "listed", "plain_value", "ready"]

MOST_ROWS = 10_000


class V1:
    """Answers ``:predict`` and ``:explain``.

    Args:
        inference: What answers single rows.
    """

    def __init__(self, inference: Inference) -> None:
        self._inference = inference

    async def predict(self, call: Call) -> Answer | None:
        """Predictions."""
        return await self._answer(call, explain=False)

    async def explain(self, call: Call) -> Answer | None:
        """Explanations."""
        return await self._answer(call, explain=True)

    async def _answer(self, call: Call, *, explain: bool) -> Answer | None:
        if await is_passed_on(call, self._inference, explain=explain):
            return None
        rows = _rows(parsed(await call.body()))
        found = call.server.repository.find(call.params["model"])
        replies = await ask_rows(call, found, rows, explain=explain)
        key = "explanations" if explain else "predictions"
        return Answer({key: [plain_value(reply) for reply in replies]})


async def is_passed_on(call: Call, inference: Inference, *, explain: bool) -> bool:
    """Whether a request is for the envelope as it came; then it has been answered.

    Raises:
        ServeError: It gets no answer.
    """
    if call.server.stopping:
        raise stopping()
    config = call.server.config
    if config.envelope is None and config.kserve != "raw":
        return False
    await inference.predict(
        call.scope,
        call.receive,
        call.send,
        name=call.params["model"],
        version=call.params.get("version"),
        explain=explain,
        request_id=call.request_id,
    )
    return True


def plain_value(reply: Reply) -> Any:
    """An answer as a value that JSON can hold."""
    try:
        text = reply.body.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(reply.body).decode()}
    if reply.json or (reply.content_type or "").startswith("application/json"):
        return json.loads(text)
    return text


def _rows(document: Any) -> list[dict[str, Any]]:
    instances = document.get("instances") if isinstance(document, dict) else None
    if not isinstance(instances, list):
        raise bad_request('The body must be a JSON object with a list "instances".')
    if len(instances) > MOST_ROWS:
        raise bad_request(f"A request may have {MOST_ROWS} instances at most.")
    return [_row(instance) for instance in instances]


def _row(instance: Any) -> dict[str, Any]:
    value = _unpacked(instance)
    if isinstance(value, dict):
        return {str(name): _unpacked(field) for name, field in value.items()}
    return {"data": value}


def _unpacked(value: Any) -> Any:
    """Bytes, where a value is ``{"b64": …}``."""
    if isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str):
        try:
            return bytearray(base64.b64decode(value["b64"], validate=True))
        except binascii.Error:
            raise bad_request("A b64 value is not valid base64.") from None
    return value


async def listed(call: Call) -> Answer:
    """The models' names."""
    return Answer({"models": list(call.server.repository.models)})


async def ready(call: Call) -> Answer:
    """Whether a model answers."""
    found = call.server.repository.find(call.params["model"])
    return Answer({"name": found.name, "ready": found.can_answer})
