"""``mar doctor``: whether mar, and an archive, can run on this machine, and why not."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from mar_core.cli import options
from mar_core.cli.output import print_json

if TYPE_CHECKING:
    from mar_core.reports.doctor import Report

__all__ = ["doctor"]

CANNOT_RUN = 2
COLORS = {"ok": "green", "missing": None, "warning": "yellow", "error": "red"}


def doctor(
    archive: Annotated[
        Path | None,
        typer.Argument(
            metavar="[ARCHIVE]", show_default=False, help="A `.mar`, a `.tar.gz` or a folder."
        ),
    ] = None,
    ts_config: Annotated[
        Path | None,
        typer.Option(
            "--ts-config",
            metavar="FILE",
            show_default=False,
            help="A `config.properties` of TorchServe: what each of its keys does here.",
        ),
    ] = None,
    as_json: Annotated[bool, options.JSON] = False,
) -> None:
    """Say whether mar, and an archive, can run on this machine, and why not.

    Looks at Python, PyTorch and its devices, optional packages and what each is good for, the
    cache, and the plugins. With an archive: at all of it that `mar validate` looks at, its
    handler, its requirements, what its code imports, its weights and the device that it asks for.
    Nothing of the archive is run. Exits with 2 when something must be mended first.

    With `--ts-config` it says instead what each key of TorchServe's configuration does here.

    **Example:** `mar doctor mnist.mar`
    """
    from mar_core.reports.doctor import Report, diagnose, explain_config

    if ts_config is None:
        report = diagnose(archive)
    else:
        report = Report(sections=[explain_config(ts_config)])
    if as_json:
        print_json(report.to_dict())
    else:
        _print(report, verdict=ts_config is None)
    if report.errors:
        raise typer.Exit(CANNOT_RUN)


def _print(report: Report, *, verdict: bool) -> None:
    from mar_core.text import plural, printable

    for section in report.sections:
        typer.secho(section.title, bold=True)
        for check in section.checks:
            typer.secho(f"  {check.state.value:<8}", fg=COLORS[check.state.value], nl=False)
            typer.echo(str(check))
    if not verdict:
        return
    what = "mar" if report.archive is None else printable(report.archive)
    count = len(report.errors)
    if not count:
        typer.echo(f"This machine can run {what}.")
    else:
        errors = plural(count, "error")
        typer.echo(f"This machine cannot run {what}: {count} {errors} above.")
