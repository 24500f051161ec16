from __future__ import annotations

import torch
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn


class FasterRcnn(torch.nn.Module):
    """torchvision's Faster R-CNN on MobileNet, for four classes, keeping what it doubts."""

    def __init__(self) -> None:
        super().__init__()
        self.detector = fasterrcnn_mobilenet_v3_large_320_fpn(
            weights=None,
            weights_backbone=None,
            num_classes=4,
            box_score_thresh=0.0,
            box_detections_per_img=8,
        )

    def forward(self, images):
        return self.detector(images)
