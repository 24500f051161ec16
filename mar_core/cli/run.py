"""``mar run``: run an archive on inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run(
    archive: Annotated[Path, typer.Argument(help="The archive.")],
    inputs: Annotated[list[str], typer.Argument(help="Files, folders, patterns, `-`.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on.")] = False,
    batch_size: Annotated[str | None, typer.Option("--batch-size", help="N or auto.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Processes.")] = None,
    timeout: Annotated[float | None, typer.Option("--timeout", help="Seconds.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="Device.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Explain.")] = False,
) -> None:
    """Run an archive on inputs."""
    from mar_core.predictor import Recipe
    from mar_core.run.session import Job, execute
    from mar_core.run.stdout import private_stdout
    from mar_core.run.summary import summary_lines
    from mar_core.run.types import RunOptions

    size = "auto" if batch_size == "auto" else int(batch_size) if batch_size else None
    job = Job(
        recipe=Recipe(source=archive, device=device),
        sources=tuple(inputs),
        running=RunOptions(batch_size=size, workers=workers, timeout=timeout, explain=explain),
        output=output,
        resume=resume,
    )
    with private_stdout() as stream:
        summary = execute(job, stream=stream)
    for line in summary_lines(summary):
        typer.echo(line, err=True)
    raise typer.Exit(1 if summary.failed else 0)
