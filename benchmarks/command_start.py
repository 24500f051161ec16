"""The commands that need no model: with what is installed, without, with 20 heavy plugins."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from harness import MAR, Contender, costs_table, python, race
from pack import make_sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness import Settings

PLUGINS = 20
METADATA = """\
Metadata-Version: 2.1
Name: mar-heavy-{number}
Version: 1.0
"""
ENTRIES = """\
[mar.handlers]
heavy_{number} = heavy_{number}:Handler
[mar.plugins]
heavy-{number} = heavy_{number}
"""
MODULE = """
import torch

class Handler:
    def handle(self, data, context):
        return data
"""


def tables(settings: Settings) -> Iterator[str]:
    """One table."""
    folder = settings.folder
    weights, handler = make_sources(folder, settings.pick(quick=2, normal=500, full=2000))
    flags = ["--model-name", "big", "--version", "1.0", "--handler", handler]
    flags += ["--serialized-file", weights, "--export-path", folder / "start", "--force"]
    race({"archive": Contender(words=[MAR, "archive", *flags])}, rounds=0, folder=folder)
    crowded = {"PYTHONPATH": str(install(folder / "plugins"))}
    contenders = {
        "python -c pass": Contender(words=python("pass")),
        "import typer": Contender(words=python("import typer")),
    }
    for words in (["--help"], ["plugins"], ["inspect", "start/big.mar"]):
        name = f"mar {words[0]}"
        contenders[name] = Contender(words=[MAR, *words])
        alone = {"MAR_DISABLED_PLUGINS": "*"}
        contenders[f"{name}, no plugins"] = Contender(words=[MAR, *words], variables=alone)
        contenders[f"{name}, {PLUGINS} plugins"] = Contender(words=[MAR, *words], variables=crowded)
    race(contenders, rounds=settings.pick(quick=1, normal=10, full=20), folder=folder)
    yield costs_table("Start a command", contenders, base="import typer")


def install(folder: Path) -> Path:
    """Lay distributions out as ``pip install --target`` does."""
    for number in range(PLUGINS):
        info = folder / f"mar_heavy_{number}-1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(METADATA.format(number=number))
        (info / "entry_points.txt").write_text(ENTRIES.format(number=number))
        (folder / f"heavy_{number}.py").write_text(textwrap.dedent(MODULE))
    return folder
