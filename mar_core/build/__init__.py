"""An archive in the making."""

from __future__ import annotations

from mar_core.build.request import ArchiveFormat, ArchiveRequest, Imported, Runtime

__all__ = ["ArchiveFormat", "ArchiveRequest", "Imported", "Runtime"]
