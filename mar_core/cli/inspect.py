"""``mar inspect``: what an archive holds, and what a run would execute."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

__all__ = ["inspect"]


def inspect(
    archive: Annotated[
        Path, typer.Argument(metavar="ARCHIVE", help="A `.mar`, a `.tar.gz` or a folder.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what an archive holds, without running anything of it.

    The model's name and version, the handler that a run would execute, the weights with their
    number of parameters (buffers included) and their types as their headers list them,
    requirements, configuration and members.

    **Example:** `mar inspect mnist.mar`
    """
    from mar_core.cli.inspection_view import print_lines, print_tables
    from mar_core.reports.inspection import inspect_archive

    inspection = inspect_archive(archive)
    if as_json:
        import json

        typer.echo(json.dumps(inspection.to_dict(), indent=2))
    elif sys.stdout.isatty():
        print_tables(inspection)
    else:
        print_lines(inspection)
