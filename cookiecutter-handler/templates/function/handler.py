"""The handler: one function, for what needs no model or brings its own."""

from __future__ import annotations

from typing import Any

from mar_core import Context, PredictionException


def {{ cookiecutter.handler_name }}(
    data: list[dict[str, Any]] | None,
    context: Context,
) -> list[dict[str, Any]]:
    """Count the words of each text.

    Args:
        data: The requests of a batch; None when a server calls it to get ready.
        context: The manifest and the folder of the archive.

    Returns:
        How many words and characters each text has.
    """
    return [_count(row.get("data") or row.get("body")) for row in data or []]


def _count(content: Any) -> dict[str, int]:
    text = bytes(content).decode() if isinstance(content, (bytes, bytearray)) else content
    if not isinstance(text, str):
        raise PredictionException("The request holds no text.", 400)
    return {"words": len(text.split()), "characters": len(text)}
