"""An archive in the making."""

from __future__ import annotations

from mar_core.build.importing import Imported
from mar_core.build.request import ArchiveFormat, ArchiveRequest, Runtime

__all__ = ["ArchiveFormat", "ArchiveRequest", "Imported", "Runtime"]
