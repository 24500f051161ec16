"""``mar unpack``: an archive's files, to look at and to change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mar_core.findings import Finding
    from mar_core.format import Archive

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
    from mar_core.cli.written import ending_cleanly
    from mar_core.format import open_archive
    from mar_core.text import printable, size_in_words

    with ending_cleanly(quiet=quiet), open_archive(archive) as opened:
        target = folder or Path(opened.manifest.model_name or archive.stem)
        findings = _unpack(opened, target, force=force)
        members = opened.members.values()
    for finding in findings:
        typer.echo(str(finding), err=True)
    if not quiet:
        size = size_in_words(sum(member.size for member in members))
        typer.echo(f"{printable(str(target))}  {len(members)} files  {size}")


def _unpack(archive: Archive, target: Path, *, force: bool) -> list[Finding]:
    """Unpack an archive that is sound into a folder that was not there, whole or not at all.

    Modes and owners are not the archive's, and there are no links and devices.

    Args:
        archive: The archive, open.
        target: The folder.
        force: Replace an unpacked archive that is there.

    Returns:
        Warnings about the archive.

    Raises:
        ArchiveError: A rule refuses the archive, or the place is taken.
    """
    from mar_core.checks.validation import check
    from mar_core.format.atomic import check_place, new_folder
    from mar_core.format.file import CHUNK
    from mar_core.plugins import get_plugins

    check_place(target, force=force, folder=True)
    # What loading would do is no matter here: nothing is loaded.
    findings = check(archive, plugins=get_plugins(), allow_pickle=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    needed = sum(member.size for member in archive.members.values())
    with new_folder(target, force=force, needed=needed) as partial:
        for name in archive.members:
            file = partial / name
            file.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, file.open("xb") as stream:
                shutil.copyfileobj(source, stream, CHUNK)
    return findings
