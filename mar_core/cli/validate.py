"""``mar validate``: prove that archives are sound, or say what is wrong with them."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from mar_core.cli import options
from mar_core.cli.output import print_json
from mar_core.findings import Finding, Severity
from mar_core.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mar_core.checks.checking import Checked

__all__ = ["validate"]

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}

UNSOUND = 2


def validate(
    archives: Annotated[
        list[Path],
        typer.Argument(metavar="ARCHIVE...", help="A `.mar`, a `.tar.gz` or a folder."),
    ],
    as_json: Annotated[bool, options.JSON] = False,
    allow_pickle: Annotated[bool, options.ALLOW_PICKLE] = False,
) -> None:
    """Check archives from the first byte to the last, without running anything of them.

    Looks at the container, names, sizes, checksums, the manifest and what it names, the code, the
    weights, the config and the requirements; plugins may add checks of their own. Exits with 2 when
    an archive has an error.

    **Example:** `mar validate mnist.mar`
    """
    from mar_core.checks.checking import check_archive

    results = [check_archive(path, allow_pickle=allow_pickle) for path in archives]
    if as_json:
        print_json([result.to_dict() for result in results])
    elif sys.stdout.isatty():
        _print_tables(results)
    else:
        _print_lines(results)
    if not all(result.is_sound for result in results):
        raise typer.Exit(UNSOUND)


def _print_lines(results: Sequence[Checked]) -> None:
    """Print a line for each finding and one for each archive, for ``grep`` and logs."""
    for result in results:
        path = printable(result.path)
        for finding in result.findings:
            typer.echo(f"{path}: {finding}{_signature(finding)}")
        typer.echo(f"{path}: {_verdict(result)}")


def _print_tables(results: Sequence[Checked]) -> None:
    """Print a heading for each archive, and a table where there are findings."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for result in results:
        color = "green" if result.is_sound else "red"
        mark = "✓" if result.is_sound else "✗"
        heading = Text(f"{mark} {printable(result.path)}", style=f"bold {color}")
        console.print(heading, Text(_verdict(result)))
        if result.findings:
            console.print(_table(result.findings))


def _table(findings: Sequence[Finding]) -> object:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        what = Text()
        if finding.member:
            what.append(f"{printable(finding.member)}: ", style="bold")
        what.append(printable(finding.message))
        if finding.hint:
            what.append(f"\n{printable(finding.hint)}", style="dim")
        what.append(_signature(finding), style="dim")
        label = Text(f"{finding.severity.value} ", style=_STYLES[finding.severity])
        table.add_row(label.append(finding.code), what)
    return table


def _signature(finding: Finding) -> str:
    """Who reported it, where it is none of the rules that come with mar."""
    theirs = finding.plugin and not finding.code.startswith("MAR-")
    return f" ({finding.plugin})" if theirs else ""


def _verdict(result: Checked) -> str:
    if result.failure is not None:
        return f"failed: {printable(result.failure)}"
    counts = [
        f"{count} {plural(count, severity.value)}"
        for severity in (Severity.ERROR, Severity.WARNING)
        if (count := result.count(severity))
    ]
    return ", ".join(["sound" if result.is_sound else "not sound", *counts])
