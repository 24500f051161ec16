"""Whole pickled objects: loaded on the user's word alone, ``--allow-pickle``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    import torch

__all__ = ["load_pickled"]


def load_pickled(path: Path, device: torch.device) -> Any:
    """Unpickle a file that the user trusts; this can run any code.

    Raises:
        ModelError: It cannot be unpickled, as a rule because a class is not there.
    """
    import torch

    try:
        return torch.load(str(path), map_location=device, weights_only=False)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"{path.name} was pickled with a class that is not here: {error}.",
            hint="Add the file that defines it with --extra-files, under the name that it had.",
        ) from error
