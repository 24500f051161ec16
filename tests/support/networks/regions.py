from __future__ import annotations

import torch


class Regions(torch.nn.Module):
    """Segments as torchvision's networks do, by one convolution; four classes."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = torch.nn.Conv2d(3, 4, 1)

    def forward(self, images):
        return {"out": self.classes(images)}
