"""The envelope ``json``: TensorFlow Serving's ``instances`` and ``predictions``."""

from __future__ import annotations

import base64
import json
from typing import Any

from mar_core.ts.envelopes.base import BaseEnvelope, instances_of, split

__all__ = ["JSONEnvelope"]


class JSONEnvelope(BaseEnvelope):
    """Gives the handler the instances of all requests in one list; ``b64`` values become bytes."""

    _lengths: tuple[int, ...] = ()

    def parse_input(self, data: Any) -> list[Any]:
        """The instances of all requests, one after the other."""
        batches = [[_decoded(row) for row in instances_of(row)] for row in data]
        self._lengths = tuple(len(batch) for batch in batches)
        return [instance for batch in batches for instance in batch]

    def format_output(self, data: Any) -> list[str]:
        """For each request ``{"predictions": […]}`` as JSON text."""
        return [json.dumps({"predictions": part}) for part in split(data, self._lengths)]


def _decoded(row: Any) -> Any:
    if not isinstance(row, dict):
        return row
    if list(row) == ["b64"]:
        return base64.b64decode(row["b64"])
    return {
        key: _decoded(value) if isinstance(value, dict) and list(value) == ["b64"] else value
        for key, value in row.items()
    }
