"""Results in a few words, for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mar_core.findings import printable
from mar_core.run.shapes import label_scores

if TYPE_CHECKING:
    from mar_core.records import Failure

__all__ = ["brief", "error_line", "one_line", "percent"]

LONGEST = 200
LABELS = 3
ITEMS = 8


def brief(value: Any) -> str:
    """A result as ``to_json`` gave it, in one line."""
    scores = label_scores(value)
    if scores:
        shown = [f"{one_line(label)} {percent(score)}" for label, score in scores[:LABELS]]
        more = len(scores) - len(shown)
        return ", ".join([*shown, f"{more} more"] if more else shown)
    if isinstance(value, list):
        return _items(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping) and "file" in value:
        value = value["file"]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _cut(one_line(text))


def error_line(failure: Failure) -> str:
    """A failure in one line: the sentence, and where it happened unless the input was not read."""
    message = one_line(failure.message)
    if failure.stage == "read":
        return message
    if failure.stage == "response":
        said = "" if message == failure.type else f": {message}"
        return f"{failure.code} {failure.type}{said}"
    return f"{failure.type} in {failure.stage}: {message}"


def percent(score: float) -> str:
    """A score from 0 to 1 in percent."""
    return f"{score:.1%}"


def one_line(text: str) -> str:
    """Text without line breaks, safe on a terminal."""
    return printable(" ".join(text.split()))


def _items(value: list[Any]) -> str:
    shown = [_items(item) if isinstance(item, list) else brief(item) for item in value[:ITEMS]]
    more = len(value) - len(shown)
    if more:
        shown.append(f"… {more} more")
    return _cut(f"[{', '.join(shown)}]")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
