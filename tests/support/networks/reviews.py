from __future__ import annotations

import torch


class Reviews(torch.nn.Module):
    """A bag of words and a linear layer, as in PyTorch's text tutorial."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.EmbeddingBag(64, 8)
        self.classes = torch.nn.Linear(8, 2)

    def forward(self, text, offsets):
        return self.classes(self.embedding(text, offsets))
