"""Answers in mar's formats: boxes as `object_detector` gives them, masks as `image_segmenter`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from mar_core import class_map
from mar_transformers.tasks import Takes

if TYPE_CHECKING:
    from PIL import Image

    from mar_transformers.pipelines.segmentation import Masks
    from mar_transformers.tasks import Task

__all__ = ["shown"]


def shown(task: Task, result: Any, output: str) -> Any:
    """One answer of a pipeline as the handler gives it.

    Args:
        task: The task.
        result: What the pipeline answered to one item.
        output: What a mask or a depth is to be: `png`, `numbers` or `segments`.
    """
    if task.name in {"object-detection", "zero-shot-object-detection"}:
        return boxes(result)
    if task.name == "image-segmentation":
        return masks(result, output)
    if task.name == "depth-estimation":
        return result["predicted_depth"].tolist() if output == "numbers" else _png(result["depth"])
    if task.takes is Takes.TEXT_OR_PAIR and isinstance(result, dict):
        return [result]  # as the pipeline answers to a single text
    return result


def boxes(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Boxes as `{label: [x1, y1, x2, y2], "score": score}`, the highest score first."""
    edges = ("xmin", "ymin", "xmax", "ymax")
    return [
        {str(one["label"]): [one["box"][edge] for edge in edges], "score": one["score"]}
        for one in sorted(found, key=lambda one: -one["score"])
    ]


def masks(found: Masks, output: str) -> Any:
    """The class of every pixel.

    Returns:
        `png`: the bytes of a PNG whose pixel values are the classes, 255 (or 65535, where there are
        more than 255) where nothing was found. `numbers`: nested lists `[height][width][2]`, the
        class, -1 for none, and its probability. `segments`: a list of `{"label", "score", "mask"}`,
        the mask a black and white picture.
    """
    import numpy as np

    if output == "segments":
        return found.segments
    if output == "numbers":
        return np.stack([found.classes.astype(np.float32), found.probabilities], axis=2).tolist()
    return class_map(found.classes)


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()
