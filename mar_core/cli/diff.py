"""``mar diff``: what differs between two archives."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

__all__ = ["diff"]


def diff(
    first: Annotated[Path, typer.Argument(metavar="A.mar", help="An archive.")],
    second: Annotated[Path, typer.Argument(metavar="B.mar", help="Another.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 when something differs.")
    ] = False,
) -> None:
    """Show what differs between two archives, without running anything of them.

    Keys of the manifest, members, and tensors of the weights: shape, type and the largest
    difference between two numbers at one place. The weights may be in different formats.

    **Example:** `mar diff mnist-1.mar mnist-2.mar`
    """
    from mar_core.cli.difference_view import print_lines, print_tables
    from mar_core.reports.difference import compare_archives

    difference = compare_archives(first, second)
    if as_json:
        import json

        typer.echo(json.dumps(difference.to_dict(), indent=2))
    elif sys.stdout.isatty():
        print_tables(difference)
    else:
        print_lines(difference)
    if exit_code and not difference.is_empty:
        raise typer.Exit(1)
