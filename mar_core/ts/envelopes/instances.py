"""The ``instances`` that a request's JSON holds."""

from __future__ import annotations

import json
from typing import Any

from mar_core.ts.envelopes.base import bare
from mar_core.ts.util import PredictionException

__all__ = ["document_of", "instances_of"]

BAD_REQUEST = 400


def document_of(row: Any) -> dict[str, Any]:
    """The JSON object that a request carries, whether it came parsed or as text.

    Raises:
        PredictionException: It carries none.
    """
    value = bare(row)
    document = row if value is None else value
    if isinstance(document, (bytes, bytearray, str)):
        try:
            document = json.loads(document)
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            message = f"The request is not JSON: {error}."
            raise PredictionException(message, BAD_REQUEST) from error
    if not isinstance(document, dict):
        kind = type(document).__name__
        raise PredictionException(f"The request is a {kind}, not a JSON object.", BAD_REQUEST)
    return document


def instances_of(row: Any, key: str = "instances") -> list[Any]:
    """The list under a key.

    Raises:
        PredictionException: There is none.
    """
    instances = document_of(row).get(key)
    if not isinstance(instances, list):
        raise PredictionException(f"The request has no list under {key!r}.", BAD_REQUEST)
    return instances
