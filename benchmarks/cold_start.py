"""From nothing to the first answer: ``mar run`` against the ten lines that one writes by hand."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

from batch import make_archive, same_answers
from harness import HERE, MAR, Contender, costs_table, python, race
from pictures import make_pictures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness import Settings

IMPORTS = "import torch, torchvision.transforms, torchvision.models.resnet"


def tables(settings: Settings) -> Iterator[str]:
    """One table: the script, a first run, which unpacks, and a second, which need not."""
    folder = settings.folder
    archive, weights = make_archive(folder)
    picture = make_pictures(folder / "pictures1", 1) / "00000.jpg"
    by_script, by_mar = folder / "script.json", folder / "first.jsonl"

    def compare() -> None:
        same_answers([json.loads(by_script.read_text())], by_mar)

    def forget() -> None:
        by_mar.unlink(missing_ok=True)
        shutil.rmtree(os.environ["MAR_CACHE_DIR"], ignore_errors=True)

    mar = [MAR, "run", archive, picture, "--quiet"]
    script = python(HERE / "ten_lines.py", picture, weights, by_script)
    contenders = {
        "imports": Contender(words=python(IMPORTS)),
        "script": Contender(words=script),
        "mar run, first": Contender(words=[*mar, "--output", by_mar], before=forget, check=compare),
        "mar run, again": Contender(words=mar),
    }
    race(contenders, rounds=settings.rounds, folder=folder)
    yield costs_table("One picture through ResNet-18, from nothing", contenders, base="script")
