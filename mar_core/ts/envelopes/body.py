"""The envelope ``body``: the bare content of each request."""

from __future__ import annotations

from typing import Any

from mar_core.ts.envelopes.base import BaseEnvelope, bare

__all__ = ["BodyEnvelope"]


class BodyEnvelope(BaseEnvelope):
    """Gives the handler what each request carries, and its results back as they are."""

    def parse_input(self, data: Any) -> list[Any]:
        """The ``data``, else the ``body``, of each request."""
        return [bare(row) for row in data]

    def format_output(self, data: Any) -> Any:
        """The results as they are."""
        return data
