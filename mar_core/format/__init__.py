"""The archive's bytes: reading without trusting, writing in one pass."""

from __future__ import annotations

from mar_core.format.limits import Limits
from mar_core.format.reader import open_archive
from mar_core.format.view import Archive, ExtraFile, Member

__all__ = ["Archive", "ExtraFile", "Limits", "Member", "open_archive"]
