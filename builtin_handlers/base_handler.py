"""``base_handler``: tensors in, lists out; what every other handler starts from."""

from __future__ import annotations

from mar_core import BaseHandler

__all__ = ["BaseHandler"]
