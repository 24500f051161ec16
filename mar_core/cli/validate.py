"""``mar validate``: prove that archives are sound, or say what is wrong with them."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from mar_core.cli import options

__all__ = ["validate"]

UNSOUND = 2


def validate(
    archives: Annotated[
        list[Path],
        typer.Argument(metavar="ARCHIVE...", help="A `.mar`, a `.tar.gz` or a folder."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    allow_pickle: Annotated[bool, options.ALLOW_PICKLE] = False,
) -> None:
    """Check archives from the first byte to the last, without running anything of them.

    Looks at the container, names, sizes, checksums, the manifest and what it names, the code, the
    weights, the config and the requirements; plugins may add checks of their own. Exits with 2 when
    an archive has an error.

    **Example:** `mar validate mnist.mar`
    """
    from mar_core.checks.checking import check_archive
    from mar_core.cli.findings_view import print_json, print_lines, print_tables

    results = [check_archive(path, allow_pickle=allow_pickle) for path in archives]
    if as_json:
        print_json(results)
    elif sys.stdout.isatty():
        print_tables(results)
    else:
        print_lines(results)
    if not all(result.is_sound for result in results):
        raise typer.Exit(UNSOUND)
