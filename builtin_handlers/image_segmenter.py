"""``image_segmenter``: images in, the class of every pixel out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from builtin_handlers.class_maps import class_map
from builtin_handlers.options import OUTPUT
from builtin_handlers.transforms import IMAGENET, DefaultTransform
from builtin_handlers.vision_handler import VisionHandler
from mar_core import handler_options

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ImageSegmenter"]


class ImageSegmenter(VisionHandler):
    """Says of every pixel which class it belongs to, with a model that returns ``{"out": …}``.

    In model-config.yaml, ``handler: {output: png}`` asks for a class map as a PNG in place of
    numbers for each pixel, a hundred times smaller.

    Attributes:
        image_processing: Resize to 256, crop 224×224 from the centre, normalise as for ImageNet.
    """

    signature: ClassVar[Mapping[str, Any] | str | None] = {
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
            return [class_map(row.numpy()) for row in scores.argmax(1).cpu()]
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
        """A class that inherits may be asked for it, too."""
        config = getattr(self, "model_yaml_config", None)
        found = handler_options(config, OUTPUT, handler="image_segmenter", unknown="ignore")
        return found.get("output") == "png"
