from __future__ import annotations

import torch


class Network(torch.nn.Module):
    """A network small enough for a test: each value is the sum of two features."""

    def __init__(self) -> None:
        super().__init__()
        self.add = torch.nn.Linear(3, 2, bias=False)
        with torch.no_grad():
            self.add.weight.copy_(torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        sums: torch.Tensor = self.add(rows)
        return sums
