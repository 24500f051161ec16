"""Request envelopes: they unwrap an orchestrator's requests and wrap the results again."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from mar_core.errors import UsageError

if TYPE_CHECKING:
    from mar_core.ts.envelopes.base import BaseEnvelope

__all__ = ["ENVELOPES", "find_envelope"]

ENVELOPES = {
    "body": "BodyEnvelope",
    "json": "JSONEnvelope",
    "kserve": "KServeEnvelope",
    "kservev2": "KServev2Envelope",
}


def find_envelope(name: str) -> type[BaseEnvelope]:
    """The envelope of that name.

    Args:
        name: ``body``, ``json``, ``kserve`` or ``kservev2``.

    Raises:
        UsageError: There is none.
    """
    if name not in ENVELOPES:
        known = ", ".join(ENVELOPES)
        raise UsageError(f"There is no envelope {name!r}.", hint=f"Choose one of {known}.")
    module = importlib.import_module(f"{__name__}.{name}")
    envelope: type[BaseEnvelope] = getattr(module, ENVELOPES[name])
    return envelope
