from __future__ import annotations

import torch


class Grey(torch.nn.Module):
    """Four classes for images of three channels and any size."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Conv2d(3, 6, 3)
        self.classes = torch.nn.Linear(6, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classes(torch.relu(self.features(images)).mean((2, 3)))
