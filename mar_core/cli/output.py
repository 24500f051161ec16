"""What commands print alike: JSON, and columns for pipes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["print_columns", "print_json"]


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    import json

    typer.echo(json.dumps(value, indent=2))


def print_columns(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of text below their heading, each column as wide as it must be."""
    cells = [[printable(cell) for cell in row] for row in (heading, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo(line.rstrip())
