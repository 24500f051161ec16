"""The same archive in TorchServe and in ``mar run``: the first answer, and many JPEGs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from batch import make_archive, same_answers
from harness import HERE, MAR, Contender, costs_table, python, race
from pictures import make_pictures
from torchserve_server import first_answer, is_here, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness import Settings

CONFIG = "minWorkers: 1\nmaxWorkers: 1\nbatchSize: {size}\nmaxBatchDelay: 50\n"
CLIENT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from torchserve_server import ask_all
ask_all(int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), Path(sys.argv[5]))
"""


def tables(settings: Settings) -> Iterator[str]:
    """One table for the first answer, one for many pictures; none where there is no Java."""
    if not is_here():
        yield "TorchServe needs Java, and is unpacked by `make env`; it is not measured here.\n"
        return
    folder = settings.folder
    config = folder / "model-config.yaml"
    config.write_text(CONFIG.format(size=settings.pick(quick=2, normal=32, full=32)))
    archive, _ = make_archive(folder, config)
    yield first(settings, archive)
    yield many(settings, archive)


def first(settings: Settings, archive: Path) -> str:
    """From nothing to one answer."""
    folder = settings.folder
    picture = make_pictures(folder / "pictures1", 1) / "00000.jpg"
    theirs, ours = folder / "theirs.json", folder / "ours.jsonl"
    contenders = {
        "TorchServe": Contender(
            words=python(HERE / "torchserve_server.py", archive, picture, theirs)
        ),
        "mar run": Contender(
            words=[MAR, "run", archive, picture, "--quiet", "--output", ours],
            before=lambda: ours.unlink(missing_ok=True),
            check=lambda: same_answers([json.loads(theirs.read_text())], ours),
        ),
    }
    race(contenders, rounds=settings.pick(quick=1, normal=3, full=5), folder=folder)
    return costs_table("One picture through ResNet-18, from nothing", contenders, base="TorchServe")


def many(settings: Settings, archive: Path) -> str:
    """A server that is running and busy, against ``mar run`` from its start to its end."""
    folder, number = settings.folder, settings.pick(quick=4, normal=300, full=2000)
    pictures = make_pictures(folder / f"pictures{number}", number)
    theirs, ours = folder / "theirs.jsonl", folder / "ours.jsonl"
    with serving(archive) as port:
        first_answer(port, archive.stem, next(pictures.glob("*.jpg")))
        client = [sys.executable, "-c", CLIENT, HERE, str(port), archive.stem, pictures, theirs]
        contenders = {
            "TorchServe's clients": Contender(words=client),
            "mar run": Contender(
                words=[MAR, "run", archive, pictures, "--quiet", "--output", ours],
                before=lambda: ours.unlink(missing_ok=True),
                check=lambda: same_answers(map(json.loads, theirs.read_text().splitlines()), ours),
            ),
        }
        race(contenders, rounds=settings.pick(quick=1, normal=3, full=5), folder=folder)
    title = (
        f"{number:,} JPEGs through ResNet-18; TorchServe runs already, mar run starts in the time"
    )
    return costs_table(title, contenders, base="TorchServe's clients")
