from __future__ import annotations

from torchvision.models.densenet import DenseNet


class DenseNet121(DenseNet):
    """torchvision's DenseNet-121 for ten classes."""

    def __init__(self) -> None:
        super().__init__(32, (6, 12, 24, 16), 64, num_classes=10)
