"""An archive in the making."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mar_core.build.request import ArchiveFormat as ArchiveFormat
    from mar_core.build.request import ArchiveRequest as ArchiveRequest
    from mar_core.build.request import Imported as Imported
    from mar_core.build.request import Runtime as Runtime

__all__ = ["ArchiveFormat", "ArchiveRequest", "Imported", "Runtime"]


def __getattr__(name: str) -> object:
    """A request's classes when they are first used: every command loads the plugin in this room."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mar_core.build import request

    return getattr(request, name)
