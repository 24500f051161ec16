from __future__ import annotations

import io
import warnings
from typing import Any

import torch


class Pixels(torch.nn.Module):
    """A segmentation network's two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Conv2d(3, 5, 3, padding=1)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores = self.features(images)
        return scores, scores.mean((2, 3))


class Words(torch.nn.Module):
    """Takes filled-up ids with a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(32, 6)
        self.classes = torch.nn.Linear(6, 2)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        weights = attention_mask.unsqueeze(-1).float()
        return self.classes((self.embedding(input_ids) * weights).sum(1) / weights.sum(1))


def made(cls: type[torch.nn.Module]) -> torch.nn.Module:
    torch.manual_seed(0)
    return cls().eval()


def as_onnx(model: torch.nn.Module, *inputs: torch.Tensor, **options: Any) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is quicker than the one that it advises
        torch.onnx.export(model, inputs, stream, dynamo=False, **options)
    return stream.getvalue()


def varying(*names: str, sizes: tuple[int, ...] = (0,)) -> dict[str, dict[int, str]]:
    return {name: {size: f"{name}_{size}" for size in sizes} for name in names}
