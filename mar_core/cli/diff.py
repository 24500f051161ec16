"""``mar diff``: what differs between two archives."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mar_core.cli import options
from mar_core.cli.output import print_json
from mar_core.text import plural, printable, size_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.reports.difference import ArchiveDifference, Change, TensorChange

__all__ = ["diff"]

# What happened, to what kind of thing, its name, and how.
_Row = tuple[str, str, str, str]
_STYLES = {"added": "green", "removed": "red", "changed": "yellow"}


def diff(
    first: Annotated[Path, typer.Argument(metavar="A.mar", help="An archive.")],
    second: Annotated[Path, typer.Argument(metavar="B.mar", help="Another.")],
    as_json: Annotated[bool, options.JSON] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 when something differs.")
    ] = False,
) -> None:
    """Show what differs between two archives, without running anything of them.

    Keys of the manifest, members, and tensors of the weights: shape, type and the largest
    difference between two numbers at one place. The weights may be in different formats.

    **Example:** `mar diff mnist-1.mar mnist-2.mar`
    """
    from mar_core.reports.difference import compare_archives

    difference = compare_archives(first, second)
    if as_json:
        print_json(difference.to_dict())
    elif sys.stdout.isatty():
        _print_tables(difference)
    else:
        _print_lines(difference)
    if exit_code and not difference.is_empty:
        raise typer.Exit(1)


def _print_lines(difference: ArchiveDifference) -> None:
    """Print a line for each difference, its parts separated by tabs."""
    for row in _rows(difference):
        typer.echo("\t".join(printable(part) for part in row).rstrip())
    typer.echo(_summary(difference))


def _print_tables(difference: ArchiveDifference) -> None:
    """Print one table of everything that differs."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for _ in range(2):
        table.add_column(no_wrap=True)
    for _ in range(2):
        table.add_column(overflow="fold")
    rows = list(_rows(difference))
    for change, kind, name, detail in rows:
        table.add_row(
            Text(change, style=_STYLES[change]),
            Text(kind, style="dim"),
            Text(printable(name), style="bold"),
            Text(printable(detail)),
        )
    if rows:
        console.print(table)
    console.print(Text(_summary(difference)))


def _rows(difference: ArchiveDifference) -> Iterator[_Row]:
    for key in difference.manifest:
        yield _change(key), "manifest", key.name, _values(key.before, key.after)
    for member in difference.added:
        yield "added", "member", member.name, size_in_words(member.after)
    for member in difference.removed:
        yield "removed", "member", member.name, size_in_words(member.before)
    for member in difference.changed:
        sizes = size_in_words(member.before), size_in_words(member.after)
        yield "changed", "member", member.name, _values(*sizes)
    for package in difference.packages:
        yield _change(package), "package", package.name, _values(package.before, package.after)
    for tensor in difference.tensors:
        yield _change(tensor), "tensor", tensor.name, _tensor(tensor)


def _change(found: Change | TensorChange) -> str:
    return "added" if found.before is None else "removed" if found.after is None else "changed"


def _tensor(tensor: TensorChange) -> str:
    what = _values(tensor.before, tensor.after)
    if tensor.largest is not None:
        return f"{what}, largest difference {tensor.largest:.6g}"
    return what


def _values(before: Any, after: Any) -> str:
    parts = [str(value) for value in (before, after) if value is not None]
    return parts[0] if len(set(parts)) == 1 else " → ".join(parts)


def _same(count: int, what: str) -> str:
    return f"{count} {plural(count, what)} {'is' if count == 1 else 'are'} the same"


def _summary(difference: ArchiveDifference) -> str:
    if difference.is_empty:
        return "The archives are the same."
    parts = [_same(difference.unchanged, "member")]
    if difference.same_tensors is not None:
        parts.append(_same(difference.same_tensors, "tensor"))
    note = f" {difference.note}" if difference.note else ""
    return f"{', '.join(parts)}.{note}"
