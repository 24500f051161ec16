"""``ts.model_loader``: loads the handler of an unpacked archive into a ``Service``."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.errors import HandlerError
from mar_core.format.manifest import MANIFEST_NAME, Manifest
from mar_core.handlers.handlers import load_handler
from mar_core.ts.service import Service

if TYPE_CHECKING:
    from mar_core.ts.metrics import MetricsCache

__all__ = ["ModelLoader", "ModelLoaderFactory", "TsModelLoader"]


class ModelLoader(ABC):
    """Loads models."""

    @abstractmethod
    def load(self, model_name: str, model_dir: str, *args: Any, **kwargs: Any) -> Service:
        """Load a model."""


class TsModelLoader(ModelLoader):
    """Loads the handler of an unpacked archive and initializes it."""

    def load(  # noqa: PLR0917 - TorchServe's signature
        self,
        model_name: str,
        model_dir: str,
        handler: str | None = None,
        gpu_id: int | None = None,
        batch_size: int | None = None,
        envelope: str | None = None,
        limit_max_image_pixels: bool = True,  # noqa: FBT001, FBT002
        metrics_cache: MetricsCache | None = None,
    ) -> Service:
        """Load a handler, make its context, and call its ``initialize``.

        Args:
            model_name: The model's name.
            model_dir: The folder that holds the unpacked archive, its manifest included.
            handler: The handler, in any form that a manifest takes.
            gpu_id: The number of the accelerator, or None for the CPU.
            batch_size: The largest number of requests in a batch.
            envelope: The request envelope, or None.
            limit_max_image_pixels: Whether very large images are refused.
            metrics_cache: Where the handler records metrics.

        Raises:
            HandlerError: There is no such handler, or it cannot be imported or made.
        """
        path = Path(model_dir, MANIFEST_NAME)
        manifest = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        named = {**manifest, "model": {**manifest.get("model", {}), "modelName": model_name}}
        if handler is not None:
            named["model"]["handler"] = handler
        loaded = load_handler(Manifest(named), Path(model_dir), envelope=envelope)
        service = Service(
            model_name,
            model_dir,
            manifest or None,
            loaded.entry,
            gpu_id,
            batch_size,
            limit_max_image_pixels,
            metrics_cache,
        )
        if loaded.initialize is None:
            raise HandlerError(
                f"The handler {loaded.name} has no method initialize.",
                stage="initialize",
                handler=loaded.name,
                hint="Give it `def initialize(self, context)`.",
            )
        loaded.initialize(service.context)
        return service


class ModelLoaderFactory:
    """Makes model loaders."""

    @staticmethod
    def get_model_loader() -> TsModelLoader:
        """The one kind that there is."""
        return TsModelLoader()
