"""``ts.model_loader``: loads the handler of an unpacked archive into a ``Service``."""

from __future__ import annotations

import json
import uuid
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.errors import HandlerError
from mar_core.format.manifest import MANIFEST_NAME, Manifest
from mar_core.handlers.code import ArchiveCode
from mar_core.handlers.load import load_handler
from mar_core.handlers.lookup import look_up
from mar_core.ts.service import Service

if TYPE_CHECKING:
    from mar_core.handlers.load import LoadedHandler
    from mar_core.ts.metrics import MetricsCache

__all__ = [
    "HandlerImportError", "HandlerValueError", "ModelLoader", "ModelLoaderFactory",
    "TsModelLoader",
]  # fmt: skip


class HandlerValueError(HandlerError, ValueError):
    """A handler's file does not hold one handler; TorchServe raises ``ValueError``."""


class HandlerImportError(HandlerError, ModuleNotFoundError):
    """A handler, or what it imports, is not there; TorchServe raises ``ModuleNotFoundError``."""


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
            HandlerImportError: There is no such handler, or it cannot be imported.
            HandlerValueError: It cannot be made, or is not one handler.
        """
        if metrics_cache is not None:  # what is recorded during the load belongs to a request
            metrics_cache.set_request_ids(str(uuid.uuid4()))
            metrics_cache.model_name = metrics_cache.model_name or model_name
        path = Path(model_dir, MANIFEST_NAME)
        manifest = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        named = {**manifest, "model": {**manifest.get("model", {}), "modelName": model_name}}
        if handler is not None:
            named["model"]["handler"] = handler
        loaded = _load(Manifest(named), Path(model_dir), envelope)
        service = Service(
            model_name,
            model_dir,
            manifest or None,
            # The handler's own method, or its function, as TorchServe hands it over.
            loaded.entry if envelope else getattr(loaded.instance, "handle", loaded.instance),
            gpu_id,
            batch_size,
            limit_max_image_pixels,
            metrics_cache,
        )
        if loaded.initialize is None:
            raise HandlerValueError(
                f"The handler {loaded.name} has no method initialize.",
                stage="initialize",
                handler=loaded.name,
                hint="Give it `def initialize(self, context)`.",
            )
        loaded.initialize(service.context)
        return service


def _load(manifest: Manifest, model_dir: Path, envelope: str | None) -> LoadedHandler:
    """Load a handler; what is wrong with it is raised as what TorchServe raises, too."""
    try:
        return load_handler(manifest, model_dir, envelope=envelope)
    except HandlerError as error:
        absent = isinstance(error.__cause__, ImportError) or not _is_there(manifest, model_dir)
        kind = HandlerImportError if absent else HandlerValueError
        message = error.message
        if not absent and error.__cause__ is None:  # callers match the beginning of TorchServe's
            message = f"Expected only one class or a function to call. {message}"
        raise kind(
            message,
            stage=error.stage,
            handler=error.handler,
            distribution=error.distribution,
            code=error.code,
            hint=error.hint,
        ) from error


def _is_there(manifest: Manifest, model_dir: Path) -> bool:
    code = ArchiveCode(model_dir, manifest.model_name or "model")
    try:
        return look_up(manifest.handler or "", code) is not None
    finally:
        code.close()


class ModelLoaderFactory:
    """Makes model loaders."""

    @staticmethod
    def get_model_loader() -> TsModelLoader:
        """The one kind that there is."""
        return TsModelLoader()
