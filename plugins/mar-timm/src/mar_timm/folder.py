"""The files of a model as timm saves it: ``config.json``, and weights beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core import SavedFiles

__all__ = ["CONFIG", "WEIGHTS", "is_timm", "read_config"]

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin")


def is_timm(config: Mapping[str, Any]) -> bool:
    """Whether a ``config.json`` is one of timm's, and not of transformers' wrapper of timm."""
    return isinstance(config.get("architecture"), str) and "model_type" not in config


def read_config(files: SavedFiles) -> dict[str, Any]:
    """The ``config.json`` of a model.

    Raises:
        ModelError: It is not there, or none of timm's.
    """
    if CONFIG not in files:
        raise ModelError(
            f"The archive has no {CONFIG}, which says what model of timm's it is.",
            hint="Archive the folder that timm saved, or name the model in model-config.yaml: "
            "`handler: {architecture: resnet50}`.",
        )
    config = files.json(CONFIG)
    if not is_timm(config):
        raise ModelError(f"{CONFIG} names no architecture: it is none of timm's.")
    return config
