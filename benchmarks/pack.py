"""``mar archive`` against a plain copy, SHA-256 alone, both, and torch-model-archiver."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness import MAR, PYTHON, Contender, costs_table, python, race

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness import Settings

TORCHSERVE = Path(sys.prefix) / "torchserve"
# Deflating takes torch-model-archiver about 50 s for each GB.
LARGEST_DEFLATED = 100
ARCHIVER = "import sys; from model_archiver.model_packaging import generate_model_archive as main; "
SHA256 = "import sys, hashlib; print(hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256'))"
# What an archive that is on the disk and says its digest must do, one after the other.
BOTH = '"$1" -c "$2" "$0" && cp "$0" copy.pt && sync copy.pt'
WEIGHTS = """
import sys, torch
torch.manual_seed(0)
layers = {f"layer{n}.weight": torch.randn(250_000) for n in range(int(sys.argv[2]))}
torch.save(layers, sys.argv[1])
"""
HANDLER = """
def handle(data, context):
    return data
"""


def tables(settings: Settings) -> Iterator[str]:
    """One table for each size; one more with the source out of the page cache."""
    sizes = settings.pick(quick=(2,), normal=(100, 500), full=(100, 500, 2000))
    for size in sizes:
        title = f"Pack {size:,} MB of weights, in the page cache"
        yield measure(settings, size, title, archiver=True)
    if settings.scale != "quick":
        title = f"Pack {sizes[0]:,} MB of weights, read from the disk"
        yield measure(settings, sizes[0], title, cold=True)


def measure(
    settings: Settings, size: int, title: str, *, archiver: bool = False, cold: bool = False
) -> str:
    weights, handler = make_sources(settings.folder, size)
    digest = sha256_of(weights)

    def contender(words: list[str | Path], made: Path, **more) -> Contender:
        def before() -> None:
            made.unlink(missing_ok=True)
            if cold:
                forget(weights)

        return Contender(words=words, before=before, check=lambda: check(made, digest), **more)

    flags = ["--model-name", "big", "--version", "1.0", "--handler", handler]
    flags += ["--serialized-file", weights, "--force"]
    folder = settings.folder
    contenders = {
        "cp": contender(["cp", weights, "copy.pt"], folder / "copy.pt"),
        "cp, sync": contender(
            ["sh", "-c", 'cp "$0" copy.pt && sync copy.pt', weights], folder / "copy.pt"
        ),
        "sha256": contender(python(SHA256, weights), folder / "none"),
        "sha256; cp, sync": contender(
            ["sh", "-c", BOTH, weights, PYTHON, SHA256], folder / "copy.pt"
        ),
        "mar archive": contender([MAR, "archive", *flags], folder / "big.mar"),
    }
    if archiver:
        staging = folder / "staging"
        staging.mkdir(exist_ok=True)
        variables = {"PYTHONPATH": str(TORCHSERVE), "TMPDIR": str(staging)}
        formats = ["zip-store", "default"] if size <= LARGEST_DEFLATED else ["zip-store"]
        for name in formats:
            words = python(ARCHIVER + "main()", *flags, "--archive-format", name)
            made = folder / "big.mar"
            contenders[f"torch-model-archiver {name}"] = contender(words, made, variables=variables)
    race(contenders, rounds=settings.rounds, folder=folder)
    return costs_table(title, contenders, base="cp")


def make_sources(folder: Path, size: int) -> tuple[Path, Path]:
    """A weights file of so many megabytes, and a handler."""
    weights, handler = folder / f"weights{size}.pt", folder / "handler.py"
    handler.write_text(HANDLER)
    if not weights.exists():
        subprocess.run(python(WEIGHTS, weights, str(size)), check=True)
    return weights, handler


def check(made: Path, digest: str) -> None:
    """A copy, or the weights in an archive, must be the same bytes."""
    if not made.exists():
        return
    if made.suffix != ".mar":
        assert sha256_of(made) == digest
        return
    with zipfile.ZipFile(made) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".pt"))
        with archive.open(name) as stream:
            assert hashlib.file_digest(stream, "sha256").hexdigest() == digest


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def forget(path: Path) -> None:
    """Drop a file from the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
