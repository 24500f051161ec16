from __future__ import annotations

import torch


class Network(torch.nn.Module):
    """A network small enough for a test: the mean colour decides."""

    def __init__(self) -> None:
        super().__init__()
        self.classify = torch.nn.Linear(3, 3, bias=False)
        torch.nn.init.eye_(self.classify.weight)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.classify(pictures.mean(dim=(2, 3)))
        return scores
