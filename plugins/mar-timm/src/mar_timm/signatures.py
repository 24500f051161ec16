"""What an archive of ``timm`` takes and gives; read without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core import SavedFiles
from mar_timm.folder import CONFIG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core import Archive

__all__ = ["signature_of"]

_PICTURE = {
    "name": "data",
    "type": "image",
    "description": "A picture in any format that Pillow reads.",
}
_FEATURES = {"name": "features", "type": "float32", "shape": [-1]}
_CLASSES = {
    "name": "classes",
    "type": "object",
    "values": {"type": "float32"},
    "description": "The most probable classes and their probabilities.",
    "example": {"tabby, tabby cat": 0.71, "tiger cat": 0.2},
}


def signature_of(archive: Archive, options: Mapping[str, Any]) -> dict[str, Any]:
    """The signature of an archive: classes, or features where it is made for them.

    Args:
        archive: The archive, open.
        options: What its model-config.yaml says under ``handler:``.
    """
    features = options.get("output") == "features" or _classes_of(archive, options) == 0
    return {"inputs": [_PICTURE], "outputs": [_FEATURES if features else _CLASSES]}


def _classes_of(archive: Archive, options: Mapping[str, Any]) -> Any:
    if "architecture" in options:
        return options.get("num_classes")
    files = SavedFiles.in_archive(archive)
    return files.json(CONFIG).get("num_classes") if CONFIG in files else None
