from __future__ import annotations

import torch


class Spots(torch.nn.Module):
    """A detector as torchvision's are called: one box an image, as bright as its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.nn.Parameter(torch.tensor([0.1, 0.2, 0.3]))

    def forward(self, images):
        return [self.detect(image) for image in images]

    def detect(self, image):
        bright = (image.mean((1, 2)) * self.weights).sum()
        height, width = image.shape[1:]
        return {
            "boxes": torch.tensor([[0.0, 0.0, float(width), float(height)]]) * bright,
            "labels": torch.tensor([1]),
            "scores": (bright + 0.5)[None],
        }
