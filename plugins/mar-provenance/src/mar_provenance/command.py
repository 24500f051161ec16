"""``mar provenance``."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated, Any

import typer

from mar_core import UsageError, open_archive

__all__ = ["provenance"]

MEMBER = "MAR-INF/provenance.json"


def provenance(
    archive: Annotated[Path, typer.Argument(help="The archive.", show_default=False)],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which commits and packages an archive was made from."""
    data = _read(archive)
    if as_json:
        typer.echo(json.dumps(data, indent=2))
        return
    for repository in data["repositories"]:
        typer.echo(f"{repository['url'] or 'a local repository'} at {repository['commit']}")
        for name in repository["files"]:
            changed = "  (differs from the commit)" if name in repository["changed"] else ""
            typer.echo(f"  {name}{changed}")
    typer.echo(", ".join(f"{name} {version}" for name, version in data["packages"].items()))


def _read(path: Path) -> dict[str, Any]:
    with open_archive(path) as archive:
        if MEMBER not in archive.members:
            raise UsageError(
                f"{path} does not say where it comes from.",
                hint="Make it with MAR_PROVENANCE=1 and mar-provenance installed.",
            )
        data: dict[str, Any] = json.loads(archive.read(MEMBER))
    return data
