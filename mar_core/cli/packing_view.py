"""What ``mar archive --from`` and ``--dry-run`` say: what a source is, what goes in, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.build import Imported
    from mar_core.findings import Finding
    from mar_core.format.sources import Sources

__all__ = ["show_plan", "show_source"]


def show_source(made: Imported, *, quiet: bool) -> None:
    """Print on stderr what was found out, where anything was."""
    if not quiet:
        for line in _source_lines(made):
            typer.echo(line, err=True)


def show_plan(made: Imported, sources: Sources, findings: list[Finding]) -> None:
    """Print what would be packed: where to, with which handler, each file with its size."""
    for finding in findings:
        typer.echo(str(finding), err=True)
    for line in [*_source_lines(made), *_facts(made, sources), *_files(sources)]:
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
    yield f"writes    {printable(str(made.request.target))}"


def _files(sources: Sources) -> Iterator[str]:
    label = "files"
    for name, member in sources.members.items():
        yield f"{label:<9} {member.size:>14,}  {printable(name)}"
        label = ""
