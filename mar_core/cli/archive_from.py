"""``mar archive`` with ``--from``, ``--convert`` or ``--dry-run``: what goes in, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from mar_core.build.importing import requested
from mar_core.build.packing import create, prepare_sources
from mar_core.cli.written import report, writing
from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mar_core.build import ArchiveRequest, Imported
    from mar_core.findings import Finding
    from mar_core.format.sources import Sources

__all__ = ["archive_from"]


def archive_from(
    asked: ArchiveRequest, *, source: Path | None, convert: str | None, dry_run: bool, quiet: bool
) -> None:
    """Find out what is to be packed, say so, and pack it unless that is all that is wanted.

    Args:
        asked: What the flags said.
        source: What says the rest, or None.
        convert: What state dicts become, or None.
        dry_run: Write nothing.
        quiet: Print nothing when all is well.
    """
    with (
        writing(quiet=quiet or dry_run) as progress,
        requested(asked, source=source, convert=convert) as made,
    ):
        for line in () if quiet and not dry_run else _source_lines(made):
            typer.echo(line, err=not dry_run)
        if dry_run:
            # Nothing is replaced, so an archive that is there already is no reason to show nothing.
            _show_plan(made, *prepare_sources(replace(made.request, force=True)))
            return
        written = create(made.request, progress=progress)
    report(written, quiet=quiet)


def _show_plan(made: Imported, sources: Sources, findings: list[Finding]) -> None:
    """Print what would be packed: where to, with which handler, each file with its size."""
    for finding in findings:
        typer.echo(str(finding), err=True)
    for line in [*_facts(made, sources), *_files(sources)]:
        typer.echo(line)


def _source_lines(made: Imported) -> Iterator[str]:
    if made.what:
        yield f"source    {printable(made.what)}"
    for reason in made.reasons:
        yield f"          {printable(reason)}"


def _facts(made: Imported, sources: Sources) -> Iterator[str]:
    manifest = sources.manifest
    owner = manifest.mar.get("handler") or {}
    where = f" ({owner['distribution']} {owner['version']})" if owner else ""
    name = f"{manifest.model_name} {manifest.model_version or ''}".rstrip()
    yield f"model     {printable(name)}"
    yield f"handler   {printable(str(manifest.handler))}{where}"
    target = made.request.target
    there = "" if made.request.force or not target.exists() else ", which exists: add --force"
    yield f"writes    {printable(str(target))}{there}"


def _files(sources: Sources) -> Iterator[str]:
    label = "files"
    for name, member in sources.members.items():
        yield f"{label:<9} {member.size:>14,}  {printable(name)}"
        label = ""
