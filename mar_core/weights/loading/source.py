"""What there is to load, and where it goes: one value that every loader takes."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError
from mar_core.weights import WeightsKind, identify

if TYPE_CHECKING:
    import torch

    from mar_core.ts.context import Context

__all__ = ["ModelSource", "current_source", "kind_of", "source_of"]

current_source: ContextVar[ModelSource | None] = ContextVar("current_source", default=None)
"""What is being loaded, for the methods of handlers that are called back in the middle of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """The model of one unpacked archive.

    Attributes:
        handler: The handler that asked.
        context: Its context.
        model_dir: The unpacked archive.
        model_file: The member that defines the network, or None.
        path: The weights file, or None.
        kind: What the weights file is, or None where there is none.
        device: Where the model goes.
        allow_pickle: Whether the user trusts the archive's pickles.
    """

    handler: Any
    context: Context
    model_dir: Path
    model_file: str | None
    path: Path | None
    kind: WeightsKind | None
    device: torch.device
    allow_pickle: bool

    @property
    def name(self) -> str:
        """The weights file as the manifest names it."""
        return self.path.relative_to(self.model_dir).as_posix() if self.path else "no weights file"


def source_of(handler: Any, context: Context) -> ModelSource:
    """Gather what the loaders need.

    Raises:
        ModelError: A file that the manifest names is not there.
    """
    model = (context.manifest or {}).get("model") or {}
    model_dir = Path(str(context.system_properties["model_dir"]))
    serialized = model.get("serializedFile")
    path = _existing(model_dir, serialized) if serialized else None
    return ModelSource(
        handler=handler,
        context=context,
        model_dir=model_dir,
        model_file=model.get("modelFile") or None,
        path=path,
        kind=kind_of(path) if path else None,
        device=_device_of(handler),
        allow_pickle=bool(context.system_properties.get("allow_pickle")),
    )


def kind_of(path: Path) -> WeightsKind:
    """What a weights file is, by its content."""
    with path.open("rb") as stream:
        return identify(stream)


def _device_of(handler: Any) -> torch.device:
    """Where a handler wants its model: ``handler.device``, else the CPU."""
    import torch

    return torch.device(getattr(handler, "device", None) or "cpu")


def _existing(model_dir: Path, name: str) -> Path:
    path = model_dir / name
    if not path.is_file():
        raise ModelError(
            f"The weights file {name!r} is not in the archive.",
            hint="Archive it again with --serialized-file.",
        )
    return path
