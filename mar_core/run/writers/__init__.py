"""Where results go: standard output, or a file whose ending says how it is written."""

from __future__ import annotations

from mar_core.run.writers.base import Output
from mar_core.run.writers.open import open_writer

__all__ = ["Output", "open_writer"]
