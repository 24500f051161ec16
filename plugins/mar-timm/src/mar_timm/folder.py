"""The files of a model as timm saves it: ``config.json``, and weights beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mar_core import ModelError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CONFIG", "WEIGHTS", "is_timm", "read_config", "weights_in"]

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin")


def is_timm(config: object) -> bool:
    """Whether a ``config.json`` is one of timm's, and not of transformers' wrapper of timm."""
    return (
        isinstance(config, dict)
        and isinstance(config.get("architecture"), str)
        and "model_type" not in config
    )


def read_config(folder: Path) -> dict[str, Any]:
    """A folder's ``config.json``.

    Raises:
        ModelError: It is not there, or none of timm's.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(
            f"The archive has no {CONFIG}, which says what model of timm's it is.",
            hint="Archive the folder that timm saved, or name the model in model-config.yaml: "
            "`handler: {architecture: resnet50}`.",
        )
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{CONFIG} is not valid JSON: {error}.") from error
    if not is_timm(found):
        raise ModelError(f"{CONFIG} names no architecture: it is none of timm's.")
    config: dict[str, Any] = found
    return config


def weights_in(folder: Path) -> Path | None:
    """The weights of a folder, safetensors first; None where there are none."""
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
