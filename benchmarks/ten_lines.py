"""The opponent of the cold start: ``python ten_lines.py PICTURE WEIGHTS OUTPUT``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from PIL import Image
from resnet18 import ResNet18
from torchvision import transforms

picture, weights, output = sys.argv[1:]
model = ResNet18()
model.load_state_dict(torch.load(weights, mmap=True, weights_only=True))
model.eval()
prepare = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ]
)
with torch.inference_mode():
    batch = prepare(Image.open(picture).convert("RGB")).unsqueeze(0)
    values, indices = torch.topk(torch.softmax(model(batch), dim=1), 5, dim=1)
pairs = zip(map(str, indices[0].tolist()), values[0].tolist(), strict=True)
Path(output).write_text(json.dumps({"id": picture, "result": dict(pairs)}))
