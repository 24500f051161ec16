"""The envelope ``kserve``: version 1 of KServe's protocol."""

from __future__ import annotations

from typing import Any

from mar_core.ts.envelopes.base import BaseEnvelope, instances_of, split

__all__ = ["KServeEnvelope"]


class KServeEnvelope(BaseEnvelope):
    """Gives the handler the instances of all requests in one list."""

    _lengths: tuple[int, ...] = ()

    def parse_input(self, data: Any) -> list[Any]:
        """The instances of all requests, one after the other."""
        batches = [instances_of(row) for row in data]
        self._lengths = tuple(len(batch) for batch in batches)
        return [instance for batch in batches for instance in batch]

    def format_output(self, data: Any) -> list[dict[str, Any]]:
        """For each request ``{"predictions": …}``, or ``{"explanations": …}`` where asked for."""
        key = "explanations" if self._is_explain() else "predictions"
        return [{key: part} for part in split(data, self._lengths)]

    def _is_explain(self) -> bool:
        return bool(self.context) and self.context.get_request_header(0, "explain") == "True"
