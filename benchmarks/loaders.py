"""JPEGs into batches: the threads of mar's worker, a DataLoader, and SPDL's pipeline.

The network only takes means, so that reading, decoding and resizing are what is measured. SPDL's
pipeline, around the same decoding, is measured where it is installed (``pip install spdl``).
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from harness import HERE, MAR, Contender, costs_table, python, race
from pictures import make_pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness import Settings

NETWORK = """
import torch


class Means(torch.nn.Module):
    def forward(self, images):
        return images.mean((2, 3))
"""
THREADS = 2
# The network is not measured: nobody is to start a team of threads for its means.
ALONE = {"OMP_NUM_THREADS": "1"}
# Of the means of normalised pictures.
TOLERANCE = 1e-4
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def tables(settings: Settings) -> Iterator[str]:
    """One table."""
    number = settings.pick(quick=4, normal=300, full=2000)
    size = settings.pick(quick=2, normal=32, full=32)
    folder = settings.folder
    (folder / "means.py").write_text(NETWORK)
    (folder / "means.yaml").write_text(f"handler: {json.dumps({'size': 224, **IMAGENET})}\n")
    words = [MAR, "archive", "--model-name", "means", "--version", "1.0", "--force", "--quiet"]
    words += ["--model-file", folder / "means.py", "--config-file", folder / "means.yaml"]
    words += ["--handler", "vision_handler", "--export-path", folder]
    subprocess.run(words, check=True)
    pictures = make_pictures(folder / f"pictures{number}", number)
    names = ["DataLoader", "DataLoader, 2 workers", "mar's threads"]
    names += ["SPDL"] if find_spec("spdl") else []

    def same(name: str) -> None:
        found = json.loads((folder / f"{name}.json").read_text())
        wanted = json.loads((folder / "DataLoader.json").read_text())
        assert len(found) == len(wanted) == number, (len(found), number)
        off = max(
            abs(a - b)
            for x, y in zip(found, wanted, strict=True)
            for a, b in zip(x, y, strict=True)
        )
        assert off < TOLERANCE, (name, off)

    contenders = {
        name: Contender(
            words=python(HERE / "loaders.py", name, pictures, folder, "--batch-size", str(size)),
            check=functools.partial(same, name),
            variables=ALONE,
        )
        for name in names
    }
    race(contenders, rounds=settings.rounds, folder=folder)
    title = f"{number:,} JPEGs into batches of {size}, imports included"
    yield costs_table(title, contenders, base="DataLoader")


def dataloader(paths: list[Path], size: int, *, workers: int) -> Iterator[list[list[float]]]:
    from plain_loop import Pictures
    from torch.utils.data import DataLoader

    pictures = Pictures(paths[0].parent)
    for _, batch in DataLoader(pictures, batch_size=size, num_workers=workers):
        yield batch.mean((2, 3)).tolist()


def threads_of_mar(paths: list[Path], size: int, folder: Path) -> Iterator[list[list[float]]]:
    from mar_core import Input, load
    from mar_core.runtime.feed import Batcher
    from mar_core.runtime.pipeline import overlapped

    def reading(path: Path) -> Callable[[], dict[str, bytes]]:
        return lambda: {"data": path.read_bytes()}

    inputs = [Input(id=str(path), read=reading(path)) for path in paths]
    with load(folder / "means.mar", device="cpu", batch_size=size) as predictor:
        batches = Batcher(size=size, by_length=False).batches(inputs)
        for outcomes, _ in overlapped(predictor.runner(independent=True), batches):
            yield [outcome.result for outcome in outcomes]


def spdl(paths: list[Path], size: int) -> Iterator[list[list[float]]]:
    import torch
    from PIL import Image
    from plain_loop import TRANSFORM
    from spdl.pipeline import PipelineBuilder

    torch.set_num_threads(1)

    def decode(path: Path) -> torch.Tensor:
        with Image.open(path) as image:
            return TRANSFORM(image.convert("RGB"))

    builder = PipelineBuilder().add_source(paths)
    builder = builder.pipe(decode, concurrency=THREADS, output_order="input").aggregate(size)
    pipeline = builder.pipe(torch.stack).add_sink(3).build(num_threads=THREADS)
    with pipeline.auto_stop():
        for batch in pipeline.get_iterator():
            yield batch.mean((2, 3)).tolist()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("pictures", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch-size", type=int, default=32)
    args = parser.parse_args()
    paths, size = sorted(args.pictures.glob("*.jpg")), args.batch_size
    batches = {
        "DataLoader": lambda: dataloader(paths, size, workers=0),
        "DataLoader, 2 workers": lambda: dataloader(paths, size, workers=2),
        "mar's threads": lambda: threads_of_mar(paths, size, args.folder),
        "SPDL": lambda: spdl(paths, size),
    }[args.name]()
    rows = [row for batch in batches for row in batch]
    (args.folder / f"{args.name}.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
