"""``mar trust``: say once that archives may run code when their weights are loaded."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from mar_core.cli import options
from mar_core.cli.output import print_json

if TYPE_CHECKING:
    from mar_core.checks.trust import Trusted

__all__ = ["trust"]


def trust(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[ARCHIVE...]",
            help="Archives, trusted by their content; or folders, whose archives are all trusted. "
            "None lists what is trusted.",
        ),
    ] = None,
    revoke: Annotated[
        list[str] | None,
        typer.Option(
            "--revoke",
            metavar="ARCHIVE",
            help="Trust an archive, a folder, or the digest that is listed, no longer. May be "
            "repeated.",
        ),
    ] = None,
    as_json: Annotated[bool, options.JSON] = False,
) -> None:
    """Trust archives whose weights are Python, once for all.

    Pickles, `torch.export` programs and native code can run any code when they are loaded. For an
    archive that is trusted here, no command asks for `--trust`. It is known by its content: once
    changed, it is trusted no longer.

    **Example:** `mar trust mnist.mar`
    """
    from dataclasses import asdict

    from mar_core.checks import trust as store

    revoked = [store.revoke(what) for what in revoke or ()]
    added = [store.trust(path) for path in paths or ()]
    if as_json:
        print_json([asdict(entry) for entry in store.list_trusted()])
        return
    for entry in revoked:
        typer.echo(f"{entry.name} is trusted no longer.")
    for entry in added:
        typer.echo(f"{entry.name} is trusted: {_described(entry)}")
    if not (revoked or added):
        _print_all(store.list_trusted())


def _print_all(entries: list[Trusted]) -> None:
    for entry in entries:
        typer.echo(f"{entry.name}  {_described(entry)}  {entry.since}")
    if not entries:
        typer.echo("Nothing is trusted.")


def _described(entry: Trusted) -> str:
    return f"sha256:{entry.digest}" if entry.digest else f"all archives in {entry.folder}"
