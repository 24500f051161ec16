"""What handlers are made of: ``BaseHandler``, and how a handler refuses a batch."""

from __future__ import annotations

from mar_core.ts.base import BaseHandler
from mar_core.ts.items import reject_item
from mar_core.ts.result import NO_RESULT
from mar_core.ts.timer import timed
from mar_core.ts.util import PredictionException

__all__ = ["NO_RESULT", "BaseHandler", "PredictionException", "reject_item", "timed"]
