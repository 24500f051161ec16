"""A row of output: what became of one input, as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mar_core.records import PLAIN_RESPONSE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core.records import Outcome, Response

__all__ = ["dump", "parse", "to_row"]

# The stage of a failure that the handler itself chose: its answer is in the row, too.
ANSWERED = "response"


def to_row(
    outcome: Outcome, *, details: bool = False, beside: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The row of an outcome: its id, and its result, its error or, of a refusal, both.

    Args:
        outcome: One whose result JSON can hold; see ``mar_core.runtime.values.plain``.
        details: Add what the handler said about its answer: status, content type, headers.
        beside: What else goes into it.
    """
    row: dict[str, Any] = {"id": outcome.id}
    failure = outcome.failure
    if failure is None or failure.stage == ANSWERED:
        row["result"] = outcome.result
    if failure is not None:
        row["error"] = {
            "stage": failure.stage,
            "type": failure.type,
            "message": failure.message,
            "code": failure.code,
        }
    row |= beside or {}
    if outcome.streamed:
        row["streamed"] = list(outcome.streamed)
    if details and outcome.response != PLAIN_RESPONSE:
        row["response"] = _said(outcome.response)
    return row


def dump(row: Any) -> bytes:
    """A row as one line of UTF-8, its end included."""
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    try:
        return f"{text}\n".encode()
    except UnicodeEncodeError:  # half a surrogate pair, as in the name of a file that is not UTF-8
        return f"{json.dumps(row, allow_nan=False)}\n".encode()


def parse(line: bytes) -> dict[str, Any] | None:
    """The row that a JSON line holds, or None when it is not a whole one."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    named = isinstance(row, dict) and isinstance(row.get("id"), str)
    return row if named else None


def _said(response: Response) -> dict[str, Any]:
    said = {
        "status": response.status,
        "phrase": response.phrase,
        "content_type": response.content_type,
        "headers": dict(response.headers),
    }
    return {name: value for name, value in said.items() if value or name == "status"}
