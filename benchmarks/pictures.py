"""Real JPEGs in any number: crops of the pictures that scikit-image and scikit-learn bring."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SIZES = ((500, 375), (375, 500), (640, 480), (333, 500))
QUALITY = 87


def make_pictures(folder: Path, number: int, *, broken: int = 0) -> Path:
    """Write ``number`` JPEGs; every ``number / broken``-th is cut off in the middle."""
    done = folder / f".done-{number}-{broken}"
    if done.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    sources = _sources()
    rng = random.Random(0)
    spoilt = set(rng.sample(range(number), broken))
    for index in range(number):
        path = folder / f"{index:05}.jpg"
        _crop(rng.choice(sources), rng).save(path, quality=QUALITY)
        if index in spoilt:
            path.write_bytes(path.read_bytes()[:200])
    done.touch()
    return folder


def _sources():
    from PIL import Image
    from skimage import data
    from sklearn.datasets import load_sample_images

    arrays = [*load_sample_images().images]
    arrays += [data.astronaut(), data.chelsea(), data.coffee(), data.rocket(), data.retina()]
    return [Image.fromarray(array).convert("RGB") for array in arrays]


def _crop(image, rng):
    width, height = rng.choice(SIZES)
    zoom = rng.uniform(0.35, 1.0)
    part_width, part_height = int(image.width * zoom), int(image.height * zoom)
    left = rng.randint(0, image.width - part_width)
    top = rng.randint(0, image.height - part_height)
    part = image.crop((left, top, left + part_width, top + part_height))
    return part.resize((width, height))
