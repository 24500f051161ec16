"""``mar inspect``: what an archive holds, and what a run would execute."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mar_core.cli import options
from mar_core.cli.output import print_json
from mar_core.format.manifest import UNDATED
from mar_core.text import plural, printable, size_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.reports.inspection import (
        HandlerSummary,
        Inspection,
        LockSummary,
        WeightsSummary,
    )

__all__ = ["inspect"]


def inspect(
    archive: Annotated[
        Path, typer.Argument(metavar="ARCHIVE", help="A `.mar`, a `.tar.gz` or a folder.")
    ],
    as_json: Annotated[bool, options.JSON] = False,
) -> None:
    """Show what an archive holds, without running anything of it.

    The model's name and version, the handler that a run would execute, the weights with their
    number of parameters (buffers included) and their types as their headers list them,
    requirements, configuration and members.

    **Example:** `mar inspect mnist.mar`
    """
    from mar_core.reports.inspection import inspect_archive

    inspection = inspect_archive(archive)
    if as_json:
        print_json(inspection.to_dict())
    elif sys.stdout.isatty():
        _print_tables(inspection)
    else:
        _print_lines(inspection)


def _print_lines(inspection: Inspection) -> None:
    """Print ``key: value`` lines, then a line for each member: size, stored size, name."""
    for key, value in _facts(inspection):
        typer.echo(f"{key}: {printable(value)}")
    for member in inspection.members:
        typer.echo(f"{member.size:>14,} {member.compressed_size:>14,}  {printable(member.name)}")


def _print_tables(inspection: Inspection) -> None:
    """Print a table of facts and one of members."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    for key, value in _facts(inspection):
        facts.add_row(key, Text(printable(value)))
    console.print(facts)
    members = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    members.add_column("member", overflow="fold")
    for heading in ("size", "in archive"):
        members.add_column(heading, justify="right", no_wrap=True)
    members.add_column("sha256", no_wrap=True)
    for member in inspection.members:
        members.add_row(
            Text(printable(member.name)),
            size_in_words(member.size),
            "stored" if member.stored else size_in_words(member.compressed_size),
            Text((member.sha256 or "")[:12], style="dim"),
        )
    console.print()
    console.print(members)


def _facts(inspection: Inspection) -> Iterator[tuple[str, str]]:
    """What there is to say, each with its name; what is not there is left out."""
    facts: dict[str, Any] = {
        "model": inspection.name,
        "version": inspection.version,
        "archive": f"{inspection.archive} ({inspection.kind}, {size_in_words(inspection.size)} "
        f"in {len(inspection.members)} members)",
        "digest": f"sha256:{inspection.digest}" if inspection.digest else None,
        "made": _made(inspection),
        "runtime": inspection.runtime,
        "handler": inspection.handler and _handler(inspection.handler),
        "model file": inspection.model_file,
        "weights": inspection.weights and _weights(inspection.weights),
        "requirements": ", ".join(inspection.requirements),
        "lock": inspection.lock and _lock(inspection.lock),
        "config": inspection.config and _config(inspection.config),
        "examples": inspection.examples,
        **_signature(inspection.signature),
    }
    for key, value in facts.items():
        if value:
            yield key, printable(str(value))


def _signature(data: dict[str, Any] | None) -> dict[str, str]:
    """What it takes and gives, in a line each, and where that is known from."""
    if data is None:
        return {}
    from mar_core.signature import Signature

    signature = Signature.from_dict(data)
    seen = " (as its examples show)" if signature.origin == "examples" else ""
    return {
        heading: "; ".join(f"{one.name}: {one}" for one in fields) + seen
        for heading, fields in (("takes", signature.inputs), ("gives", signature.outputs))
        if fields
    }


def _made(inspection: Inspection) -> str:
    """The date and the maker; the date of an archive that has none to tell is left out."""
    created = None if inspection.created == UNDATED else inspection.created
    by = f"by archiver {inspection.archiver}" if inspection.archiver else ""
    return " ".join(part for part in (created, by) if part)


def _handler(handler: HandlerSummary) -> str:
    """The handler, and what would be executed."""
    if handler.origin == "missing":
        needs = f": needs {handler.distribution} {handler.version or ''}".rstrip()
        return f"{handler.name}, not found here{needs if handler.distribution else ''}"
    place = handler.member or handler.module or ""
    target = f"{place}:{handler.entry}" if handler.entry else place
    shipped = f" from {handler.distribution} {handler.version}" if handler.distribution else ""
    return f"{handler.name} → {target}{shipped}"


def _weights(weights: WeightsSummary) -> str:
    parts = [f"{weights.member}: {weights.format}"]
    if weights.parameters is not None:
        dtypes = ", ".join(f"{count:,} {dtype}" for dtype, count in weights.dtypes.items())
        tensors = f"{weights.tensors:,} {plural(weights.tensors, 'tensor')}"
        parts.append(f"{weights.parameters:,} parameters in {tensors} ({dtypes})")
    if weights.imports:
        parts.append(f"loading imports {', '.join(weights.imports)}")
    parts.extend(weights.faults[:1] if not weights.imports else [])
    return ", ".join(parts)


def _lock(lock: LockSummary) -> str:
    """How many packages, for which Pythons, and what is wrong; `--json` lists them."""
    if lock.fault:
        return f"cannot be installed: {lock.fault}"
    count = len(lock.packages)
    python = f", for Python {lock.requires_python}" if lock.requires_python else ""
    stale = "" if lock.current else ", of other requirements than these"
    return f"{count} {plural(count, 'package')}{python}{stale}"


def _config(config: Any) -> str:
    import json

    return json.dumps(config)
