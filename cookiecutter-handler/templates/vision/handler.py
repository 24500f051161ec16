"""The handler: pictures in, the most probable class out."""

from __future__ import annotations

import io
from typing import Any

import torch
from mar_core import BaseHandler, PredictionException
from PIL import Image, UnidentifiedImageError
from torchvision.transforms.functional import pil_to_tensor

SIZE = 32


class {{ cookiecutter.__class_name }}(BaseHandler):
    """{{ cookiecutter.description }}"""

    def preprocess(self, data: list[dict[str, Any]]) -> torch.Tensor:
        """Decode the pictures into one tensor of shape ``(batch, 3, SIZE, SIZE)``, 0 to 1."""
        pictures = [_decode(row.get("data") or row.get("body")) for row in data]
        return torch.stack(pictures).to(self.device)

    def postprocess(self, data: torch.Tensor) -> list[dict[str, Any]]:
        """The most probable class of each picture, by its name where the archive has names."""
        best = data.softmax(dim=1).max(dim=1)
        names = self.mapping or {}
        return [
            {"class": names.get(str(index), str(index)), "probability": probability}
            for probability, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]


def _decode(content: Any) -> torch.Tensor:
    try:
        with Image.open(io.BytesIO(content)) as image:
            picture = image.convert("RGB").resize((SIZE, SIZE))
    except (TypeError, UnidentifiedImageError) as error:
        raise PredictionException("The request holds no picture.", 400) from error
    pixels: torch.Tensor = pil_to_tensor(picture)
    return pixels.float() / 255
