"""From an unpacked archive to its handler and its model."""

from __future__ import annotations

from mar_core.loading.handlers import LoadedHandler, load_handler
from mar_core.loading.models import active_manager, load_model

__all__ = ["LoadedHandler", "active_manager", "load_handler", "load_model"]
