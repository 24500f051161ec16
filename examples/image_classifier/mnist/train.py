"""Train the example's network on scikit-learn's handwritten digits.

Writes ``mnist_cnn.pt`` (the state dict) and ``digits/`` (unseen digits as PNG, named
``<label>_<number>.png``) beside this file, or into the folder that is its one argument.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from mnist import Net
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

SEED = 1
EPOCHS = 12
BATCH = 64
SIDE = 28
MEAN, DEVIATION = 0.1307, 0.3081
SAMPLES = 3  # pictures of each digit
AIM = 0.97


def digit_pictures() -> tuple[list[Image.Image], np.ndarray]:
    """The 1,797 digits of 8×8 pixels, scaled to 28×28 grey pictures, and their labels."""
    data = load_digits()
    small = (data.images * (255 / 16)).astype(np.uint8)
    resize = Image.Resampling.BICUBIC
    return [Image.fromarray(pixels).resize((SIDE, SIDE), resize) for pixels in small], data.target


def as_tensor(pictures: list[Image.Image]) -> torch.Tensor:
    """The pictures as float32 of shape (n, 1, 28, 28), normalised as the handler does."""
    stacked = np.stack([np.asarray(picture, dtype=np.float32) for picture in pictures])
    return ((torch.from_numpy(stacked) / 255 - MEAN) / DEVIATION).unsqueeze(1)


def train(model: Net, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Fit the model with Adam on a one-cycle schedule, with small random shifts."""
    shuffle = torch.Generator().manual_seed(SEED)
    dataset = TensorDataset(images, labels)
    batches = DataLoader(dataset, batch_size=BATCH, shuffle=True, generator=shuffle)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=2e-3, total_steps=EPOCHS * len(batches)
    )
    model.train()
    for epoch in range(EPOCHS):
        total = 0.0
        for batch, target in batches:
            shift = torch.randint(-2, 3, (2,)).tolist()
            optimizer.zero_grad()
            loss = functional.nll_loss(model(torch.roll(batch, shift, dims=(2, 3))), target)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(target)
        print(f"epoch {epoch + 1:2d} of {EPOCHS}: loss {total / len(dataset):.4f}", flush=True)


@torch.inference_mode()
def accuracy(model: Net, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of images that the model names rightly."""
    model.eval()
    return (model(images).argmax(1) == labels).float().mean().item()


def write_pictures(folder: Path, pictures: list[Image.Image], labels: np.ndarray) -> None:
    """Write the first few pictures of each digit, in place of what the folder held."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for digit in range(10):
        for number, place in enumerate(np.flatnonzero(labels == digit)[:SAMPLES]):
            pictures[place].save(folder / f"{digit}_{number}.png")


def main(folder: Path) -> None:
    """Train, test on the fifth that was never seen, and write the weights and the pictures."""
    torch.manual_seed(SEED)
    pictures, labels = digit_pictures()
    places = np.arange(len(labels))
    seen, unseen = train_test_split(places, test_size=0.2, random_state=SEED, stratify=labels)
    images, targets = as_tensor(pictures), torch.from_numpy(labels).long()
    model = Net()
    train(model, images[seen], targets[seen])
    score = accuracy(model, images[unseen], targets[unseen])
    print(f"{score:.1%} of {len(unseen)} unseen digits are right")
    if score < AIM:
        sys.exit(f"train.py: expected at least {AIM:.0%}")
    write_pictures(folder / "digits", [pictures[place] for place in unseen], labels[unseen])
    weights = folder / "mnist_cnn.pt"
    torch.save(model.state_dict(), weights.with_suffix(".part"))
    weights.with_suffix(".part").replace(weights)  # there is a whole file or none


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
