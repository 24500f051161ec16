"""The opponent of the batch benchmark: the loop that one writes by hand, with a DataLoader.

Run as ``python plain_loop.py PICTURES WEIGHTS OUTPUT --workers N --threads N --batch-size N``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

sys.path.insert(0, str(Path(__file__).parent))

from resnet18 import ResNet18

TRANSFORM = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ]
)


class Pictures(Dataset):
    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*.jpg"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[str, torch.Tensor]:
        path = self.paths[index]
        with Image.open(path) as image:
            return str(path), TRANSFORM(image.convert("RGB"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("pictures", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=32)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    model = ResNet18()
    model.load_state_dict(torch.load(args.weights, mmap=True, weights_only=True))
    model.eval()
    start = time.perf_counter()
    loader = DataLoader(
        Pictures(args.pictures), batch_size=args.batch_size, num_workers=args.workers
    )
    with torch.inference_mode(), args.output.open("w") as output:
        for names, batch in loader:
            probabilities = torch.softmax(model(batch), dim=1)
            values, indices = torch.topk(probabilities, 5, dim=1)
            for name, labels, scores in zip(names, indices.tolist(), values.tolist(), strict=True):
                result = {str(label): score for label, score in zip(labels, scores, strict=True)}
                output.write(json.dumps({"id": name, "result": result}) + "\n")
    print(json.dumps({"seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main()
