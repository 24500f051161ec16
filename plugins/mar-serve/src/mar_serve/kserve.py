"""KServe's first protocol: ``instances`` in, ``predictions`` out, one row for each instance.

With a request envelope, or where the server was told to, the body reaches the handler as it came:
TorchServe left these paths to the envelope.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from mar_core import Request
from mar_serve.answers import Answer
from mar_serve.bodies import Gone, handler_headers
from mar_serve.calls import parsed
from mar_serve.errors import bad_request, stopping
from mar_serve.inference import failure_error
from mar_serve.protocol import arrival_of
from mar_serve.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mar_core import Reply
    from mar_serve.calls import Call
    from mar_serve.inference import Inference
    from mar_serve.queues import Job
    from mar_serve.version import ModelVersion

__all__ = ["V1", "ask_rows", "is_passed_on", "listed", "plain_value", "ready"]

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


async def ask_rows(
    call: Call,
    found: ModelVersion,
    rows: Sequence[dict[str, Any]],
    *,
    explain: bool = False,
    asked: str | None = None,
) -> list[Reply]:
    """Have several rows of one request run, each a request of its own for the batches.

    Raises:
        ServeError: One of them failed.
    """
    headers = handler_headers(call.scope, explain=explain)
    jobs = []
    for number, row in enumerate(rows):
        name = call.request_id if len(rows) == 1 else f"{call.request_id}.{number}"
        request = Request(id=name, headers=headers, row=row)
        jobs.append(found.job(request, explain=explain))
    # More at a time would fill the queue, and refuse this very request.
    few = asyncio.Semaphore(max(1, found.settings.queue_size // 2))

    async def ask(job: Job) -> Reply | Stream | None:
        async with few:
            return await found.ask(job, asked=asked)

    def forget() -> None:
        for job in jobs:
            job.forget()

    arrival = arrival_of(call.scope)
    if arrival is not None:
        arrival.on_gone = forget
    try:
        outcomes = await asyncio.gather(*map(ask, jobs))
    finally:
        forget()  # one has failed, or the client has gone: the others need not be run
    if any(outcome is None for outcome in outcomes):
        raise Gone
    return [_whole(outcome) for outcome in outcomes]


def _whole(outcome: Reply | Stream | None) -> Reply:
    if outcome is None or isinstance(outcome, Stream):
        raise bad_request("This model streams its answers; ask /predictions for them.")
    if outcome.failure is not None:
        raise failure_error(outcome)
    return outcome


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
