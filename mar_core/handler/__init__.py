"""What handlers are made of: ``BaseHandler``, and how a handler refuses a batch."""

from __future__ import annotations

from mar_core.handler.base import BaseHandler
from mar_core.handler.items import reject_item
from mar_core.handler.result import NO_RESULT
from mar_core.handler.timer import timed
from mar_core.handler.util import PredictionException

__all__ = ["NO_RESULT", "BaseHandler", "PredictionException", "reject_item", "timed"]
