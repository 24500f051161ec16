"""Make the picture of a terminal that README shows: ``python tests/support/terminal_picture.py``.

A ResNet-18 of torchvision's learns to tell photographs apart that scikit-image and scikit-learn
bring, is archived as README does it, and run in a real terminal; what that shows becomes an SVG
that asks nobody for a font.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
from importlib.util import find_spec
from pathlib import Path

import torch
import tree
from PIL import Image
from rich.console import Console
from rich.text import Text
from terminal import Terminal
from torchvision import transforms
from torchvision.models import resnet18

import mar_core

PICTURE = tree.ROOT / "docs" / "images" / "terminal.svg"
COLUMNS = 78
# What is to be seen, and where it lies.
PHOTOS = {
    "cat": "skimage/data/chelsea.png",
    "coffee": "skimage/data/coffee.png",
    "flower": "sklearn/datasets/images/flower.jpg",
    "rocket": "skimage/data/rocket.jpg",
    "temple": "sklearn/datasets/images/china.jpg",
}
LOOKS = 40
FONT_FACES = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def photo(name: str) -> Image.Image:
    """One of the photographs."""
    package, _, rest = PHOTOS[name].partition("/")
    (place,) = find_spec(package).submodule_search_locations
    return Image.open(Path(place, rest)).convert("RGB")


def trained() -> torch.nn.Module:
    """A ResNet-18 whose last layer has learned the photographs from pieces of them."""
    torch.manual_seed(0)
    network = resnet18(num_classes=len(PHOTOS)).eval()
    look = transforms.Compose([
        transforms.RandomResizedCrop(224, scale=(0.3, 1)),
        transforms.RandomHorizontalFlip(),
        transforms.ColorJitter(0.3, 0.3, 0.2),
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ])  # fmt: skip
    truth = torch.arange(len(PHOTOS)).repeat_interleave(LOOKS)
    with torch.no_grad():
        looks = torch.stack([look(photo(name)) for name in PHOTOS for _ in range(LOOKS)])
        last, network.fc = network.fc, torch.nn.Identity()
        features = torch.cat([network(part) for part in looks.split(20)])
    scale = features.std(0) + 1e-6
    step = torch.optim.Adam(last.parameters(), lr=0.01, weight_decay=1e-2)
    for _ in range(150):
        step.zero_grad()
        torch.nn.functional.cross_entropy(last(features / scale), truth).backward()
        step.step()
    with torch.no_grad():
        last.weight /= scale
    network.fc = last
    return network


def prepare(folder: Path) -> None:
    """The archive, and a folder of photographs and of one file that is none."""
    names = folder / "index_to_name.json"
    names.write_text(json.dumps(dict(enumerate(PHOTOS))), encoding="utf-8")
    mar_core.archive(
        "resnet18",
        model=trained(),
        example=torch.zeros(1, 3, 224, 224),
        handler="image_classifier",
        extra_files=names,
        export_path=folder,
    )
    (folder / "photos").mkdir()
    for number, name in enumerate(PHOTOS, 2041):
        photo(name).save(folder / "photos" / f"IMG_{number}.jpg")
    (folder / "photos" / "IMG_2046.jpg").write_bytes(b"\xff\xd8 cut")


def drawn(shown: str) -> str:
    """A terminal that shows something, as an SVG in the fonts of whoever looks at it."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor")
    console.print(Text.from_ansi(shown.replace("\r\n", "\n")))
    svg = console.export_svg(title="", unique_id="terminal")
    return FONT_FACES.sub("", svg).replace("Fira Code, monospace", "ui-monospace, monospace")


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory(prefix="mar-terminal-") as scratch:
        folder = Path(scratch)
        prepare(folder)
        command = ("run", "resnet18.mar", "photos")
        with Terminal(*command, cwd=folder, columns=COLUMNS) as screen:
            screen.end()
            seen = screen._seen.decode()
    PICTURE.write_text(drawn(f"$ mar {' '.join(command)}\n{seen.strip()}"), encoding="utf-8")


if __name__ == "__main__":
    main()
