"""The command ``torchserve``, on top of ``mar serve``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core import hookimpl

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["mar_explain_config"]


@hookimpl
def mar_explain_config(path: Path) -> list[tuple[str, str, bool]] | None:
    """Say what each key of a ``config.properties`` does here."""
    if path.suffix not in {".properties", ".cfg"}:
        return None
    import os

    from mar_torchserve.keys import VARIABLES, fates
    from mar_torchserve.properties import read_properties

    found = read_properties(path, os.environ, variables=VARIABLES)
    return [
        (fate.key, fate.effect if fate.honoured else f"It {fate.effect}.", fate.honoured)
        for fate in fates(found)
    ]
