"""The handler: text in, the most probable class out."""

from __future__ import annotations

from typing import Any

import torch
from mar_core import BaseHandler, PredictionException


class {{ cookiecutter.__class_name }}(BaseHandler):
    """{{ cookiecutter.description }}"""

    def preprocess(self, data: list[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn the texts into their bytes, one after the other, and where each text begins."""
        texts = [_encode(row.get("data") or row.get("body")) for row in data]
        lengths = torch.tensor([0, *(len(text) for text in texts[:-1])])
        codes = torch.cat([torch.tensor(list(text)) for text in texts])
        return codes.to(self.device), lengths.cumsum(0).to(self.device)

    def inference(self, data: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Run the model on the bytes and the beginnings."""
        codes, offsets = data
        with torch.inference_mode():
            scores: torch.Tensor = self.model(codes, offsets)
        return scores

    def postprocess(self, data: torch.Tensor) -> list[dict[str, Any]]:
        """The most probable class of each text, by its name where the archive has names."""
        best = data.softmax(dim=1).max(dim=1)
        names = self.mapping or {}
        return [
            {"class": names.get(str(index), str(index)), "probability": probability}
            for probability, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]


def _encode(content: Any) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    if not isinstance(raw, (bytes, bytearray)) or not raw:
        raise PredictionException("The request holds no text.", 400)
    return bytes(raw)
