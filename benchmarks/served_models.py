"""The models that all servers serve: as an archive, and as a plain function for the others.

A function takes the bodies of a batch of requests and gives back their answers, as plain values.
"""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch import make_archive
from harness import HERE, MAR, python
from pictures import make_pictures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MNIST = HERE.parent / "examples" / "image_classifier" / "mnist"
NOOP = """
def handle(data, context):
    return None if data is None else ["ok"] * len(data)
"""
# What a model on a device of its own is to a server: a batch takes its time, and no core.
DEVICE = """
import time

def handle(data, context):
    if data is None:
        return None
    time.sleep(0.02)
    return ["ok"] * len(data)
"""
# The same of a model on the CPU: this much of a core.
PROCESSOR = """
import time

def handle(data, context):
    if data is None:
        return None
    end = time.thread_time() + 0.02
    while time.thread_time() < end:
        sum(range(2000))
    return ["ok"] * len(data)
"""
HANDLERS = {"noop": NOOP, "device": DEVICE, "processor": PROCESSOR}
MNIST_WEIGHTS = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from mnist import Net
torch.manual_seed(0)
torch.save(Net().state_dict(), sys.argv[2])
"""
CONFIG = (
    "minWorkers: 1\nmaxWorkers: 1\nbatchSize: {size}\nmaxBatchDelay: {delay}\n"
    "jobQueueSize: {queue}\n"
)
TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Served:
    """A model, ready to be served.

    Attributes:
        kind: ``noop``, ``device``, ``processor``, ``mnist`` or ``resnet18``.
        archive: The archive.
        weights: The weights that are in it; no file where it has none.
        body: What each request carries.
        size: The largest batch.
        delay: Milliseconds that a server may wait to fill a batch.
    """

    kind: str
    archive: Path
    weights: Path
    body: Path
    size: int
    delay: int


def make(kind: str, folder: Path, *, size: int, delay: int, queue: int = 5000) -> Served:
    """Write a model, its archive and a request."""
    folder = folder / f"{kind}-{size}-{queue}"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "model-config.yaml"
    config.write_text(CONFIG.format(size=size, delay=delay, queue=queue))
    body, weights = folder / "body", folder / f"{kind}.pt"
    if kind == "resnet18":
        archive, weights = make_archive(folder, config)
        body = make_pictures(folder / "picture", 1) / "00000.jpg"
    else:
        archive = _packed(kind, folder, config, weights)
        body.write_bytes(b"x" * 1024 if kind in HANDLERS else _digit())
    return Served(kind=kind, archive=archive, weights=weights, body=body, size=size, delay=delay)


def _packed(kind: str, folder: Path, config: Path, weights: Path) -> Path:
    if kind in HANDLERS:
        handler = folder / f"{kind}_handler.py"
        handler.write_text(HANDLERS[kind])
        more = ["--handler", f"{handler}:handle"]
    else:
        subprocess.run(python(MNIST_WEIGHTS, MNIST, weights), check=True)
        more = ["--handler", MNIST / "mnist_handler.py", "--model-file", MNIST / "mnist.py"]
        more += ["--serialized-file", weights]
    words = [MAR, "archive", "--model-name", kind, "--version", "1.0", "--force", "--quiet"]
    subprocess.run([*words, *more, "-c", config, "--export-path", folder], check=True)
    return folder / f"{kind}.mar"


def _digit() -> bytes:
    from PIL import Image, ImageDraw

    image = Image.new("L", (28, 28))
    ImageDraw.Draw(image).line([(8, 6), (20, 6), (12, 22)], fill=255, width=3)
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def function_for(kind: str, weights: str) -> Callable[[list[bytes]], list[object]]:
    """The model as one writes it by hand: what LitServe and mosec serve."""
    if kind == "noop":
        return lambda bodies: ["ok"] * len(bodies)
    return _Network(kind, weights)


def encoded(value: object) -> bytes:
    """An answer's bytes: text as it is, the rest as JSON."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


class _Network:
    def __init__(self, kind: str, weights: str) -> None:
        import torch
        from torchvision import transforms

        sys.path[:0] = [str(HERE), str(MNIST)]
        self.kind = kind
        if kind == "mnist":
            from mnist import Net as Network

            steps = [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
            self.transform = transforms.Compose(steps)
        else:
            from plain_loop import TRANSFORM
            from resnet18 import ResNet18 as Network

            self.transform = TRANSFORM
        self.model = Network()
        self.model.load_state_dict(torch.load(weights, weights_only=True))
        self.model.eval()

    def __call__(self, bodies: list[bytes]) -> list[object]:
        import torch

        batch = torch.stack([self._read(body) for body in bodies])
        with torch.inference_mode():
            scores = self.model(batch)
        if self.kind == "mnist":
            return scores.argmax(1).tolist()
        values, indices = torch.topk(torch.softmax(scores, dim=1), 5, dim=1)
        rows = zip(indices.tolist(), values.tolist(), strict=True)
        return [dict(zip(map(str, labels), shares, strict=True)) for labels, shares in rows]

    def _read(self, body: bytes):
        from PIL import Image

        with Image.open(io.BytesIO(body)) as image:
            return self.transform(image if self.kind == "mnist" else image.convert("RGB"))


def same(one: bytes, other: bytes) -> bool:
    """Whether two answers say the same, in JSON or as text."""
    return _equal(_value(one), _value(other))


def _value(answer: bytes) -> object:
    try:
        return json.loads(answer)
    except ValueError:
        return answer.decode()


def _equal(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            math.isclose(one[key], other[key], abs_tol=TOLERANCE) for key in one
        )
    return one == other
