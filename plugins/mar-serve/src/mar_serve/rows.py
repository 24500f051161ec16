"""Several rows of one HTTP request, each a request of its own for the batches."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from mar_core import Request
from mar_serve.bodies import Gone, handler_headers
from mar_serve.errors import bad_request, failure_error
from mar_serve.protocol import arrival_of
from mar_serve.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Scope

    from mar_core import Reply
    from mar_serve.queues import Job
    from mar_serve.version import ModelVersion

__all__ = ["ask_rows"]


class _Asking(Protocol):
    scope: Scope
    request_id: str


async def ask_rows(
    call: _Asking,
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
