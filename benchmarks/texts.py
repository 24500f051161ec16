"""Many texts of all lengths through a small encoder: ``mar run`` against a plain loop."""

from __future__ import annotations

import json
import math
import random
import subprocess
from typing import TYPE_CHECKING

from harness import HERE, MAR, Contender, costs_table, python, race

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness import Settings

WORDS = [f"word{number}" for number in range(1998)]
WEIGHTS = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from texts_network import Encoder
torch.manual_seed(0)
torch.save(Encoder().state_dict(), sys.argv[2])
"""
TOLERANCE = 1e-4


def tables(settings: Settings) -> Iterator[str]:
    """One table."""
    folder = settings.folder
    number = settings.pick(quick=40, normal=5000, full=20_000)
    size = settings.pick(quick=4, normal=32, full=32)
    texts, vocabulary = make_texts(folder, number)
    archive, weights = make_archive(folder, vocabulary)
    by_loop, by_mar = folder / "texts-loop.jsonl", folder / "texts-mar.jsonl"
    loop = python(HERE / "texts_loop.py", texts, vocabulary, weights, by_loop)
    contenders = {
        "plain loop": Contender(words=[*loop, "--batch-size", str(size)]),
        "mar run": Contender(
            words=[MAR, "run", archive, texts, "--output", by_mar, "--batch-size", str(size), "-q"],
            before=lambda: by_mar.unlink(missing_ok=True),
            check=lambda: same_answers(by_loop, by_mar),
        ),
    }
    race(contenders, rounds=settings.pick(quick=1, normal=5, full=5), folder=folder)
    title = f"{number:,} texts of 1 to 400 words through a small encoder, in batches of {size}"
    yield costs_table(title, contenders, base="plain loop")


def make_texts(folder: Path, number: int) -> tuple[Path, Path]:
    """Texts as JSON lines, most of them short and some very long, and their vocabulary."""
    rng = random.Random(0)
    texts, vocabulary = folder / f"texts{number}.jsonl", folder / "vocab.json"
    names = {"<unk>": 0, "<pad>": 1} | {word: place for place, word in enumerate(WORDS, 2)}
    vocabulary.write_text(json.dumps(names))
    with texts.open("w") as stream:
        for _ in range(number):
            length = min(400, 1 + int(rng.lognormvariate(2.8, 1.0)))
            stream.write(json.dumps({"data": " ".join(rng.choices(WORDS, k=length))}) + "\n")
    return texts, vocabulary


def make_archive(folder: Path, vocabulary: Path) -> tuple[Path, Path]:
    """The encoder with random weights, and those weights."""
    weights = folder / "encoder.pt"
    subprocess.run(python(WEIGHTS, HERE, weights), check=True)
    words = [MAR, "archive", "--model-name", "encoder", "--version", "1.0", "--force", "--quiet"]
    words += ["--model-file", HERE / "texts_network.py", "--serialized-file", weights]
    words += ["--handler", "text_handler", "--extra-files", vocabulary, "--export-path", folder]
    subprocess.run(words, check=True)
    return folder / "encoder.mar", weights


def same_answers(expected: Path, found: Path) -> None:
    """The same scores for the same texts, in the same order."""
    rows = zip(expected.read_text().splitlines(), found.read_text().splitlines(), strict=True)
    for one, other in rows:
        wanted, row = json.loads(one), json.loads(other)
        assert row["id"] == wanted["id"], (row, wanted)
        for score, got in zip(wanted["result"], row["result"], strict=True):
            assert math.isclose(score, got, abs_tol=TOLERANCE), (row, wanted)
