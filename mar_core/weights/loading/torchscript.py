"""TorchScript: a file that carries its own structure."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from mar_core.errors import ModelError

if TYPE_CHECKING:
    import torch

    from mar_core.weights.loading.source import ModelSource

__all__ = ["load"]


def load(source: ModelSource) -> torch.nn.Module:
    """Load it through ``handler._load_torchscript_model``, which a handler may override.

    Raises:
        ModelError: The file is damaged, or made by another version of PyTorch.
    """
    with warnings.catch_warnings():
        # That PyTorch would like people to move on is nothing that a user of an archive can mend.
        warnings.filterwarnings("ignore", r".*torch\.jit\.load.* is deprecated")
        try:
            model = source.handler._load_torchscript_model(  # noqa: SLF001 - TorchServe's name
                str(source.path)
            )
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise ModelError(
                f"{source.name} is TorchScript that cannot be loaded: {reason}.",
                hint="Save it again with the PyTorch that is installed here, or export the model "
                "with torch.export.",
            ) from error
    ready: torch.nn.Module = model.to(source.device).eval()
    return ready
