"""Answers in mar's formats: boxes as `object_detector` gives them, masks as `image_segmenter`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from mar_transformers.tasks import Takes

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from mar_transformers.pipelines.segmentation import Masks
    from mar_transformers.tasks import Task

__all__ = ["shown"]

_COLOURS = 256
# In a picture of classes: no class at all. PASCAL VOC calls it void.
_VOID, _DEEP_VOID = 255, 65_535


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
    return _png(_class_map(found.classes))


def _class_map(classes: np.ndarray[Any, Any]) -> Image.Image:
    """A picture of classes; in colours where a palette is large enough for them."""
    from PIL import Image

    nothing = classes < 0
    if int(classes.max()) + bool(nothing.any()) >= _COLOURS:
        deep = classes.copy()
        deep[nothing] = _DEEP_VOID
        return Image.fromarray(deep.astype("uint16"))
    flat = classes.copy()
    flat[nothing] = _VOID
    image = Image.fromarray(flat.astype("uint8"))
    image.putpalette([_channel(index, shift) for index in range(_COLOURS) for shift in range(3)])
    return image


def _channel(index: int, shift: int) -> int:
    """PASCAL VOC's colours, far apart for neighbouring classes: the bits of a class, spread."""
    value = 0
    for level in range(7, -1, -1):
        value |= ((index >> shift) & 1) << level
        index >>= 3
    return value


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()
