"""``mar update`` with another handler against archiving everything again."""

from __future__ import annotations

import filecmp
import itertools
from typing import TYPE_CHECKING

from harness import MAR, Contender, costs_table, race
from pack import HANDLER, make_sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness import Settings


def tables(settings: Settings) -> Iterator[str]:
    """One table for each size."""
    sizes = settings.pick(quick=(2,), normal=(10, 100, 500), full=(10, 100, 500, 2000))
    for size in sizes:
        yield measure(settings, size)


def measure(settings: Settings, size: int) -> str:
    weights, handler = make_sources(settings.folder, size)
    fresh, updated = settings.folder / "fresh", settings.folder / "updated"
    texts = itertools.cycle([f"import json\n{HANDLER}", HANDLER])

    def archive(to: Path) -> list[str | Path]:
        flags = ["--model-name", "big", "--version", "1.0", "--handler", handler]
        return [
            MAR,
            "archive",
            *flags,
            "--serialized-file",
            weights,
            "--export-path",
            to,
            "--force",
        ]

    def same() -> None:
        assert filecmp.cmp(fresh / "big.mar", updated / "big.mar", shallow=False)

    contenders = {
        "mar archive": Contender(words=archive(fresh), before=lambda: change(handler, texts)),
        "mar update": Contender(
            words=[MAR, "update", updated / "big.mar", "--handler", handler], check=same
        ),
        "mar update --in-place": Contender(
            words=[MAR, "update", updated / "big.mar", "--handler", handler, "--in-place"],
            before=lambda: change(handler, texts),
        ),
        "cp": Contender(words=["cp", updated / "big.mar", "copy.mar"]),
    }
    race({"first": Contender(words=archive(updated))}, rounds=0, folder=settings.folder)
    race(contenders, rounds=settings.rounds, folder=settings.folder)
    last = Contender(words=archive(fresh), check=same)
    race({"last": last}, rounds=0, folder=settings.folder)
    title = f"Replace the handler of an archive with {size:,} MB of weights"
    return costs_table(title, contenders, base="mar archive")


def change(handler: Path, texts: Iterator[str]) -> None:
    handler.write_text(next(texts))
