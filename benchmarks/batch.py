"""Many JPEGs through ResNet-18: ``mar run`` against the best plain loop around a DataLoader."""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
from typing import TYPE_CHECKING

from harness import HERE, MAR, Contender, costs_table, python, race, run
from pictures import make_pictures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from harness import Settings

WEIGHTS = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from resnet18 import ResNet18
torch.manual_seed(0)
torch.save(ResNet18().state_dict(), sys.argv[2])
"""
TOLERANCE = 1e-5


def tables(settings: Settings) -> Iterator[str]:
    """One table: sound pictures, and the same with one in a hundred broken."""
    number = settings.pick(quick=4, normal=300, full=2000)
    size = settings.pick(quick=2, normal=32, full=32)
    yield measure(settings, number, size)


def measure(settings: Settings, number: int, size: int) -> str:
    """Run everything on the same pictures."""
    folder = settings.folder
    archive, weights = make_archive(folder)
    pictures = make_pictures(folder / f"pictures{number}", number)
    spoilt = max(1, number // 100)
    broken = make_pictures(folder / f"broken{number}", number, broken=spoilt)
    best = best_loop(settings, pictures, weights, size)
    expected, by_mar = folder / "loop.jsonl", folder / "mar.jsonl"
    flags = ["--output", by_mar, "--batch-size", str(size), "--quiet"]

    def against_loop(found: Path) -> None:
        same_answers(map(json.loads, expected.read_text().splitlines()), found)

    loop = plain_loop(pictures, weights, expected, size, best)
    contenders = {
        "plain loop": Contender(words=loop),
        "mar run": Contender(
            words=[MAR, "run", archive, pictures, *flags],
            before=lambda: by_mar.unlink(missing_ok=True),
            check=lambda: against_loop(by_mar),
        ),
        "mar run, 1 % broken": Contender(
            words=[MAR, "run", archive, broken, *flags],
            before=lambda: by_mar.unlink(missing_ok=True),
            check=lambda: same_failures(by_mar, spoilt),
            exits=1,
        ),
        "handle() in a loop": Contender(
            words=python(
                HERE / "handle_loop.py",
                pictures,
                archive,
                "handle.jsonl",
                "--batch-size",
                str(size),
            ),
            check=lambda: against_loop(folder / "handle.jsonl"),
        ),
    }
    race(contenders, rounds=settings.pick(quick=1, normal=3, full=5), folder=folder)
    title = (
        f"{number:,} JPEGs through ResNet-18 in batches of {size}; the plain loop has "
        f"{best[0]} workers and {best[1]} threads"
    )
    return costs_table(title, contenders, base="plain loop")


def best_loop(settings: Settings, pictures: Path, weights: Path, size: int) -> tuple[int, int]:
    """The numbers of workers and threads with which the plain loop is fastest."""
    cores = os.cpu_count() or 1
    grid = [*itertools.product(sorted({0, 1, cores}), sorted({1, cores}))]
    if settings.scale == "quick":
        return grid[0]
    seconds = {}
    for choice in grid:
        loop = plain_loop(pictures, weights, settings.folder / "grid.jsonl", size, choice)
        seconds[choice] = run(Contender(words=loop), settings.folder).seconds
    return min(seconds, key=seconds.__getitem__)


def plain_loop(
    pictures: Path, weights: Path, output: Path, size: int, choice: tuple[int, int]
) -> list[str | Path]:
    words = python(HERE / "plain_loop.py", pictures, weights, output, "--batch-size", str(size))
    return [*words, "--workers", str(choice[0]), "--threads", str(choice[1])]


def make_archive(folder: Path, config: Path | None = None) -> tuple[Path, Path]:
    """A ResNet-18 with random weights, and those weights."""
    weights = folder / "resnet18.pt"
    if not weights.exists():
        subprocess.run(python(WEIGHTS, HERE, weights), check=True)
    words = [MAR, "archive", "--model-name", "resnet18", "--version", "1.0", "--force", "--quiet"]
    words += ["--model-file", HERE / "resnet18.py", "--serialized-file", weights]
    words += ["--handler", "image_classifier", "--export-path", folder]
    words += ["--config-file", config] if config else []
    subprocess.run(words, check=True)
    return folder / "resnet18.mar", weights


def same_answers(expected: Iterable[dict], found: Path) -> None:
    """The same classes with the same probabilities for the same pictures, in the same order."""
    rows = [json.loads(line) for line in found.read_text().splitlines()]
    for wanted, row in zip(expected, rows, strict=True):
        assert row["id"] == wanted["id"], (row, wanted)
        assert row["result"].keys() == wanted["result"].keys(), (row, wanted)
        for label, score in wanted["result"].items():
            assert math.isclose(row["result"][label], score, abs_tol=TOLERANCE), (row, wanted)


def same_failures(found: Path, spoilt: int) -> None:
    """As many failures as there are broken pictures."""
    rows = [json.loads(line) for line in found.read_text().splitlines()]
    assert sum("error" in row for row in rows) == spoilt, rows[:3]
