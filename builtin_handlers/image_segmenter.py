"""``image_segmenter``: images in, the class of every pixel out."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from PIL import Image

from builtin_handlers.transforms import IMAGENET, DefaultTransform
from builtin_handlers.vision_handler import VisionHandler
from mar_core import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ImageSegmenter"]

_PALETTE_COLOURS = 256


class ImageSegmenter(VisionHandler):
    """Says of every pixel which class it belongs to, with a model that returns ``{"out": …}``.

    In model-config.yaml, ``handler: {output: png}`` asks for a class map as a PNG in place of
    numbers for each pixel, a hundred times smaller.

    Attributes:
        image_processing: Resize to 256, crop 224×224 from the centre, normalise as for ImageNet.
    """

    signature: ClassVar[Mapping[str, Any] | None] = {
        "outputs": [
            {
                "name": "classes",
                "any_of": [{"type": "float32", "shape": [-1, -1, 2]}, {"type": "image"}],
                "description": "For each pixel its class and the probability of it; with "
                "`output: png` a picture of the classes.",
            }
        ],
    }
    stages_independent = True
    reads_by_context = True
    model_options = True
    image_processing: Any = DefaultTransform(IMAGENET)

    def postprocess(self, data: dict[str, torch.Tensor]) -> list[Any]:
        """Choose the most probable class for each pixel.

        Args:
            data: ``{"out": scores}``, scores before softmax, of shape
                ``[batch, classes, height, width]``.

        Returns:
            For each image nested lists ``[height][width][2]``: the class and its probability. With
            ``output: png`` the bytes of a PNG whose pixel values are the classes.
        """
        scores = data["out"]
        if self._as_png():
            return [_class_map(row) for row in scores.argmax(1).cpu()]
        probabilities, classes = torch.softmax(scores, dim=1).max(dim=1)
        result: list[Any] = torch.stack(
            [classes.to(probabilities.dtype), probabilities], 3
        ).tolist()
        return result

    def _score(self, data: torch.Tensor) -> torch.Tensor:
        """How much of each class there is: the sum of its scores over all pixels."""
        total: torch.Tensor = self.model(data)["out"].sum((2, 3))
        return total

    def _as_png(self) -> bool:
        config = (getattr(self, "model_yaml_config", None) or {}).get("handler") or {}
        wanted = config.get("output")
        if wanted not in (None, "numbers", "png"):
            raise ModelError(
                f"model-config.yaml: handler.output is {wanted!r}.",
                hint="image_segmenter knows `numbers` and `png`.",
            )
        return wanted == "png"


def _class_map(classes: torch.Tensor) -> bytes:
    """A picture of classes; in colours where a palette is large enough for them."""
    if int(classes.max()) >= _PALETTE_COLOURS:
        image = Image.fromarray(classes.numpy().astype("uint16"))
    else:
        image = Image.fromarray(classes.numpy().astype("uint8"))
        image.putpalette(_palette())
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def _palette() -> list[int]:
    """Colours far apart for neighbouring classes, black for 0: the bits of a class, spread."""
    return [_channel(index, shift) for index in range(_PALETTE_COLOURS) for shift in range(3)]


def _channel(index: int, shift: int) -> int:
    value = 0
    for level in range(7, -1, -1):
        value |= ((index >> shift) & 1) << level
        index >>= 3
    return value
