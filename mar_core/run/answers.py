"""What an outcome means to who reads it: refusals that are failures, failures with a remedy."""

from __future__ import annotations

import dataclasses
import http
import re
from typing import TYPE_CHECKING

from mar_core.records import Failure

if TYPE_CHECKING:
    from mar_core.records import Outcome

__all__ = ["judged"]

BAD = 400
_MORE_HINTS = (
    (
        re.compile(r"\ba (?:dict|list) is no text", re.IGNORECASE),
        "Send one value of a row with --column NAME.",
    ),
)
STAGES = frozenset({"preprocess", "inference", "explain"})
_WANTS_BYTES = "The handler expects bytes: send the file with -T, or rows with --raw."
_WANTS_JSON = (
    "The handler expects JSON that is parsed: send it with -H 'content-type: application/json'."
)
_WANTS_TEXT = "The handler expects text: send it with -H 'content-type: text/plain'."
_PARSED = r"'?(?:dict|str|list|int|float)'?"
_BYTES = r"'?(?:bytearray|bytes)'?"
_HINTS = (
    (re.compile(rf"{_PARSED} object has no attribute '(?:decode|hex)'"), _WANTS_BYTES),
    (re.compile(rf"a bytes-like object is required, not {_PARSED}"), _WANTS_BYTES),
    (re.compile(rf"must be str, bytes or bytearray, not {_PARSED}"), _WANTS_BYTES),
    (
        re.compile(rf"{_BYTES} object has no attribute '(?:get|items|keys|values|pop|append)'"),
        _WANTS_JSON,
    ),
    (re.compile(r"byte(?:array)? indices must be integers or slices, not str"), _WANTS_JSON),
    (re.compile(rf"{_BYTES} object has no attribute '(?:encode|format|casefold)'"), _WANTS_TEXT),
)


def judged(outcome: Outcome) -> Outcome:
    """The outcome, with a failure where the handler answered with a status of 400 or more.

    The message is the handler's phrase, or its answer where that is text, as a client of TorchServe
    would have read it. The answer stays in the outcome.

    Args:
        outcome: One whose result JSON can hold.
    """
    status = outcome.response.status
    if outcome.failure is not None:
        return _with_hint(outcome, outcome.failure)
    if status < BAD:
        return outcome
    name = _name(status)
    said = outcome.response.phrase.strip()
    if not said and isinstance(outcome.result, str):
        said = outcome.result.strip()
    failure = Failure(stage="response", type=name, message=said or name, code=status)
    return dataclasses.replace(outcome, failure=failure)


def _with_hint(outcome: Outcome, failure: Failure) -> Outcome:
    """Say how to send what the handler expects, where it expects the other of bytes and JSON."""
    if failure.stage not in STAGES:
        return outcome
    hints = _HINTS if failure.type in {"AttributeError", "TypeError"} else _MORE_HINTS
    for pattern, hint in hints:
        if pattern.search(failure.message):
            message = f"{failure.message.rstrip('.')}. {hint}"
            return dataclasses.replace(
                outcome, failure=dataclasses.replace(failure, message=message)
            )
    return outcome


def _name(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"
