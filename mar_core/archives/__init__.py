"""The archive: what one looks like, how it is read, written and unpacked."""

from __future__ import annotations

from mar_core.archives.limits import Limits
from mar_core.archives.reader import open_archive
from mar_core.archives.request import ArchiveFormat, ArchiveRequest, Runtime
from mar_core.archives.view import Archive, ExtraFile, Member

__all__ = [
    "Archive",
    "ArchiveFormat",
    "ArchiveRequest",
    "ExtraFile",
    "Limits",
    "Member",
    "Runtime",
    "open_archive",
]
