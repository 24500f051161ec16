"""``image_classifier``: images in, the most probable classes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from builtin_handlers.labels import labelled
from builtin_handlers.transforms import IMAGENET, DefaultTransform
from builtin_handlers.vision_handler import VisionHandler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core import Context

__all__ = ["ImageClassifier"]


class ImageClassifier(VisionHandler):
    """Names what is in an image.

    Attributes:
        topk: How many classes an answer holds; all of them where the model has fewer.
        image_processing: Resize to 256, crop 224×224 from the centre, normalise as for ImageNet.
    """

    signature: ClassVar[Mapping[str, Any] | str | None] = {
        "outputs": [
            {
                "name": "classes",
                "type": "object",
                "values": {"type": "float32"},
                "description": "The most probable classes and their probabilities.",
                "example": {"cat": 0.93, "dog": 0.05},
            }
        ],
    }
    stages_independent = True
    reads_by_context = True
    model_options = True
    topk = 5
    image_processing: Any = DefaultTransform(IMAGENET)

    def initialize(self, context: Context) -> None:
        """Load the model, and take up what `handler:` in model-config.yaml says.

        Raises:
            ModelError: The model cannot be loaded, or an option is not what it may be.
        """
        super().initialize(context)
        self.topk = self.options.get("topk", self.topk)

    def set_max_result_classes(self, topk: int) -> None:
        """Set how many classes an answer holds."""
        self.topk = topk

    def get_max_result_classes(self) -> int:
        """How many classes an answer holds."""
        return self.topk

    def postprocess(self, data: torch.Tensor) -> list[dict[str, float]]:
        """Name the most probable classes.

        Args:
            data: Scores before softmax, of shape ``[batch, classes]``.

        Returns:
            For each item its ``topk`` classes and their probabilities, the most probable first.
        """
        probabilities = torch.softmax(data, dim=1)
        values, indices = torch.topk(probabilities, min(self.topk, data.shape[1]), dim=1)
        return [
            labelled(self.mapping, row_indices, row_values)
            for row_indices, row_values in zip(indices.tolist(), values.tolist(), strict=True)
        ]
