"""What the handler said about its answer: a status of 400 or more is a failed input."""

from __future__ import annotations

import dataclasses
import http
from typing import TYPE_CHECKING

from mar_core.records import Failure

if TYPE_CHECKING:
    from mar_core.records import Outcome

__all__ = ["judged"]

BAD = 400


def judged(outcome: Outcome) -> Outcome:
    """The outcome, with a failure where the handler answered with a status of 400 or more.

    The message is the handler's phrase, or its answer where that is text, as a client of TorchServe
    would have read it. The answer stays in the outcome.

    Args:
        outcome: One whose result JSON can hold.
    """
    status = outcome.response.status
    if outcome.failure is not None or status < BAD:
        return outcome
    name = _name(status)
    said = outcome.response.phrase.strip()
    if not said and isinstance(outcome.result, str):
        said = outcome.result.strip()
    failure = Failure(stage="response", type=name, message=said or name, code=status)
    return dataclasses.replace(outcome, failure=failure)


def _name(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"
