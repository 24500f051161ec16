"""The files of a model as timm saves it: ``config.json``, and weights beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mar_core import ModelError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CONFIG", "WEIGHTS", "is_timm", "parsed", "read_config", "weights_in"]

CONFIG = "config.json"
_LARGEST = 64 << 20
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
        found = parsed(path)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{CONFIG} is not valid JSON: {error}.") from error
    if not is_timm(found):
        raise ModelError(f"{CONFIG} names no architecture: it is none of timm's.")
    config: dict[str, Any] = found
    return config


def parsed(path: Path) -> Any:
    """A file of JSON.

    Raises:
        ValueError: It is none, or larger than any config.
        RecursionError: It is nested without end.
    """
    with path.open("rb") as stream:
        raw = stream.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST:,} bytes")
    return json.loads(raw)


def weights_in(folder: Path) -> Path | None:
    """The weights of a folder, safetensors first; None where there are none."""
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
