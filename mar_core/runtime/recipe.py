"""How to load an archive: the recipe, and what is made of it in the caller's process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.build.request import ArchiveRequest
from mar_core.runtime.load_options import LoadOptions
from mar_core.runtime.prepared import prepare

if TYPE_CHECKING:
    from mar_core.runtime.predictor import Predictor
    from mar_core.runtime.prepared import Prepared

__all__ = ["Recipe", "load"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(LoadOptions):
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

    def prepare(self) -> Prepared:
        """Validate and unpack the archive, without loading anything of it.

        Raises:
            ArchiveError: It cannot be read, or a rule refuses it.
        """
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


def load(
    source: str | Path | ArchiveRequest,
    *,
    device: str | None = None,
    allow_pickle: bool = False,
    envelope: str | None = None,
    batch_size: int | None = None,
    limit_image_pixels: bool = True,
) -> Predictor:
    """Load an archive: validate it, import its handler, load its weights.

    Args:
        source: A ``.mar``, a ``.tar.gz``, a folder that holds an unpacked archive, or the sources
            of one that was never packed.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None takes the best that is there.
        allow_pickle: Load weights that can run code when loaded.
        envelope: The request envelope: ``json``, ``kserve``, ``kservev2`` or ``body``.
        batch_size: Requests in a batch; None takes the archive's ``batchSize``, else 1.
        limit_image_pixels: Refuse pictures so large that they look like decompression bombs.

    Returns:
        The predictor; use it as a context manager.

    Raises:
        ArchiveError: The archive cannot be read, or a rule refuses it.
        HandlerError: Its handler cannot be imported or initialized.
        ModelError: Its weights cannot be loaded.

    Example:
        >>> with load("mnist.mar") as model:
        ...     model.predict([Path("7.png")])
        [7]
    """
    recipe = Recipe(
        source=source if isinstance(source, ArchiveRequest) else Path(source),
        device=device,
        allow_pickle=allow_pickle,
        envelope=envelope,
        batch_size=batch_size,
        limit_image_pixels=limit_image_pixels,
    )
    return recipe.load()
