from __future__ import annotations

import torch
from torchvision.models.segmentation import lraspp_mobilenet_v3_large


class Lraspp(torch.nn.Module):
    """torchvision's LR-ASPP on MobileNet, for five classes."""

    def __init__(self) -> None:
        super().__init__()
        self.network = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=5)

    def forward(self, images):
        return self.network(images)
