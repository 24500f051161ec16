"""Masks: the class of every pixel, besides the pictures of segments that transformers gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers.pipelines.image_segmentation import ImageSegmentationPipeline

__all__ = ["NO_CLASS", "Masks", "SegmentationPipeline"]

NO_CLASS = -1
# Scores of classes for each pixel: batch, classes, height, width. DETR's are for each query.
_PIXELS = 4


@dataclass(frozen=True, slots=True)
class Masks:
    """What is where in a picture.

    Attributes:
        classes: int32 of shape `[height, width]`; `NO_CLASS` where nothing was found.
        probabilities: float32 of that shape; 1 where the model gives none.
        segments: `{"label", "score", "mask"}` for each, as transformers gives them; the mask is a
            picture.
    """

    classes: np.ndarray[Any, Any]
    probabilities: np.ndarray[Any, Any]
    segments: list[dict[str, Any]]


class SegmentationPipeline(ImageSegmentationPipeline):  # type: ignore[misc]
    """A picture in, `Masks` out."""

    def postprocess(self, model_outputs: Any, **asked: Any) -> Masks:
        """Say of every pixel which class it is of.

        Args:
            model_outputs: What the model said.
            **asked: As for transformers' own pipeline.
        """
        segments = super().postprocess(model_outputs, **asked)
        height, width = model_outputs["target_size"][0]
        logits = model_outputs.get("logits")
        if logits is not None and logits.ndim == _PIXELS:
            scores = torch.nn.functional.interpolate(
                logits.float(), size=(height, width), mode="bilinear", align_corners=False
            )
            best = scores.softmax(1).max(1)
            return Masks(best.indices[0].int().numpy(), best.values[0].numpy(), segments)
        numbers = {name: number for number, name in self.model.config.id2label.items()}
        found = np.full((height, width), NO_CLASS, dtype=np.int32)
        shares = np.zeros((height, width), dtype=np.float32)
        for segment in segments:
            there = np.asarray(segment["mask"]) > 0
            found[there] = int(numbers[segment["label"]])
            shares[there] = 1.0 if segment["score"] is None else segment["score"]
        return Masks(found, shares, segments)
