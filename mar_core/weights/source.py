"""What there is to load, and where it goes: one value that every loader takes."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from mar_core.weights.registry import WeightsFormat

__all__ = ["ModelSource", "no_advice", "require_trust", "source_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """The model of one unpacked archive.

    Attributes:
        handler: The handler that asked.
        context: Its context.
        model_dir: The unpacked archive.
        model_file: The member that defines the network, or None.
        path: The weights file, or None.
        format: What the weights file is, or None where there is none.
        device: Where the model goes.
        trusted: Whether the user has said that what is in the archive may run code when loaded.
    """

    handler: Any
    context: Any
    model_dir: Path
    model_file: str | None
    path: Path | None
    format: WeightsFormat | None
    device: torch.device
    trusted: bool

    @property
    def name(self) -> str:
        """The weights file as the manifest names it."""
        return self.path.relative_to(self.model_dir).as_posix() if self.path else "no weights file"

    @property
    def kind(self) -> str | None:
        """The name of the format, such as ``safetensors``; None where there is no file."""
        return self.format.name if self.format else None

    def network(self) -> torch.nn.Module:
        """The network that the model file defines, as its class makes it.

        Raises:
            ModelError: There is no model file, it does not hold exactly one network, or its class
                needs arguments.
        """
        from mar_core.weights.model_file import load_network

        if self.model_file is None:
            raise ModelError(
                "The archive has no model file.", hint="Archive it again with --model-file."
            )
        return load_network(str(self.model_dir), self.model_file)


def source_of(handler: Any, context: Any) -> ModelSource:
    """Gather what the loaders need.

    Args:
        handler: The handler; its ``device`` says where the model goes, else it is the CPU.
        context: The manifest, and the unpacked archive as ``system_properties["model_dir"]``.

    Raises:
        ModelError: A file that the manifest names is not there.
    """
    import torch

    from mar_core.weights.registry import identify

    model = (context.manifest or {}).get("model") or {}
    model_dir = Path(str(context.system_properties["model_dir"]))
    serialized = model.get("serializedFile")
    path = _existing(model_dir, serialized) if serialized else None
    row = None
    if path is not None:
        with path.open("rb") as stream:
            row = identify(stream)
    return ModelSource(
        handler=handler,
        context=context,
        model_dir=model_dir,
        model_file=model.get("modelFile") or None,
        path=path,
        format=row,
        device=torch.device(getattr(handler, "device", None) or "cpu"),
        trusted=bool(context.system_properties.get("allow_pickle")),
    )


def require_trust(source: ModelSource, what: str) -> None:
    """Refuse to load what can run any code, unless the user has said that it may.

    Args:
        source: What is about to be loaded.
        what: What it is, for the sentence: ``a pickle that …``.

    Raises:
        ModelError: The user has not.
    """
    if not source.trusted:
        raise ModelError(
            f"{source.name} is {what}.",
            hint="Pass --trust (or --allow-pickle) if you trust whoever made the archive, or trust "
            "it once for all with `mar trust`.",
        )


@contextmanager
def no_advice(name: str) -> Iterator[None]:
    """Keep advice on old files out of the results' way: it is nothing to mend at run time.

    Args:
        name: The logger of torch's that gives it.
    """
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _existing(model_dir: Path, name: str) -> Path:
    path = model_dir / name
    if not path.is_file():
        raise ModelError(
            f"The weights file {name!r} is not in the archive.",
            hint="Archive it again with --serialized-file.",
        )
    return path
