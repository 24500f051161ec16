"""How to load an archive, as a value that can be sent to another process or machine."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from mar_core.build import ArchiveRequest
from mar_core.format import open_archive

if TYPE_CHECKING:
    from pathlib import Path

    from mar_core.format import Archive
    from mar_core.runtime.predictor import Predictor
    from mar_core.runtime.prepared import Prepared

__all__ = ["Recipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What to load, and how: frozen, and picklable.

    Attributes:
        source: An archive or an unpacked one, or the sources of one that was never packed.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None takes the best that is there.
        allow_pickle: Load weights that can run code when loaded.
        envelope: The request envelope to put around the handler: ``json``, ``kserve``,
            ``kservev2`` or ``body``.
        batch_size: Requests in a batch; None takes the archive's ``batchSize``.
        limit_image_pixels: Refuse pictures so large that they look like decompression bombs.
        handler: The handler to load in place of the one that the archive names, or None.
        env: Where worker processes run: ``off`` is this environment, ``auto`` the one that the
            archive brings, a path a virtual environment. None is ``off``, and says of an archive
            with a lock what this environment lacks.
        inherit: Let ``auto`` use packages of this environment that the archive's own lacks.
        allow_build: Build packages that have no wheels, for ``auto``.
        offline: Make environments of what uv has cached, for ``auto``.
        metrics_config: The file that says what metrics there are, in TorchServe's format; None
            takes what ``TS_METRICS_CONFIG`` names, if anything.
        opened: The archive, where it is open already: who opens it first takes it from here. It
            does not travel to other processes.
    """

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

    def prepare(self) -> Prepared:
        """Validate and unpack the archive, without loading anything of it.

        Raises:
            ArchiveError: It cannot be read, or a rule refuses it.
        """
        from mar_core.runtime.prepared import prepare

        return prepare(self)

    def load(self) -> Predictor:
        """Validate the archive, load its handler and initialize it.

        Raises:
            ArchiveError: It cannot be read, or a rule refuses it.
            HandlerError: Its handler cannot be imported or initialized.
            ModelError: Its weights cannot be loaded.
        """
        from mar_core.runtime.predictor import Predictor

        return Predictor(self)

    def __reduce__(self) -> tuple[Any, ...]:
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.compare}
        return functools.partial(Recipe, **values), ()
