"""``mar unpack``: an archive's files, to look at and to change."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

__all__ = ["unpack"]


def unpack(
    *,
    archive: Annotated[Path, typer.Argument(help="The archive.", show_default=False)],
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]",
            help="Where to: a folder that is not there, by default the model's name.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Replace an unpacked archive that is there.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing when all is well.")
    ] = False,
) -> None:
    """Unpack an archive into a folder, without running anything of it.

    It is validated first: no name leads out of the folder, no link comes to be. The folder runs
    like the archive (`mar run FOLDER …`); `mar archive` packs its files again.

    **Example:** `mar unpack mnist.mar`
    """
    from mar_core.build.unpacking import unpack_archive
    from mar_core.cli.written import ending_cleanly
    from mar_core.text import printable, size_in_words

    with ending_cleanly(quiet=quiet):
        unpacked = unpack_archive(archive, folder, force=force)
    for finding in unpacked.findings:
        typer.echo(str(finding), err=True)
    if not quiet:
        where = printable(str(unpacked.path))
        typer.echo(f"{where}  {unpacked.members} files  {size_in_words(unpacked.size)}")
