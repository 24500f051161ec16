"""What to load, and how, as a value that can be sent to another process or machine."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from mar_core.build.request import ArchiveRequest
from mar_core.format import open_archive

if TYPE_CHECKING:
    from pathlib import Path

    from mar_core.format import Archive

__all__ = ["LoadOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """What a recipe says, whose documentation has the attributes: here for what stands below it."""

    source: Path | ArchiveRequest
    device: str | None = None
    allow_pickle: bool = False
    envelope: str | None = None
    batch_size: int | None = None
    limit_image_pixels: bool = True
    handler: str | None = None
    env: str | None = None
    inherit: bool = False
    allow_build: bool = False
    offline: bool = False
    metrics_config: Path | None = None
    opened: list[Archive] = field(default_factory=list, compare=False, repr=False)

    @property
    def here(self) -> bool:
        """Whether its workers run in this environment, whatever the archive brings."""
        return self.env in {None, "", "off"}

    def open(self) -> Archive:
        """Open the archive, without loading anything of it.

        Raises:
            ArchiveError: It cannot be read.
        """
        if self.opened:
            return self.opened.pop()
        if isinstance(self.source, ArchiveRequest):
            from mar_core.build.plan import plan

            return plan(self.source)
        return open_archive(self.source)

    def __reduce__(self) -> tuple[Any, ...]:
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.compare}
        return functools.partial(type(self), **values), ()
