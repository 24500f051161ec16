"""A network for the tests: how loud a sound is, and how long."""

from __future__ import annotations

import torch


class Loudness(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, samples):
        loud = samples.square().mean(-1) * self.scale
        return torch.stack([loud, torch.full_like(loud, samples.shape[-1])], dim=-1)
