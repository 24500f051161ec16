"""``mar serve``: the command."""

from __future__ import annotations

import typer


def serve() -> None:
    """Serve model archives over HTTP."""
    raise typer.Exit(2)
