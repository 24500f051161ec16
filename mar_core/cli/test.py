"""``mar test``: run an archive's own examples again."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from mar_core.cli import options
from mar_core.cli.output import print_json
from mar_core.text import printable

if TYPE_CHECKING:
    from mar_core.reports.example_runs import ExampleResult

__all__ = ["check_examples"]

SHOWN = 10


def check_examples(
    *,
    archive: Annotated[Path, typer.Argument(help="The archive.", show_default=False)],
    device: Annotated[
        str | None, typer.Option(help="`cpu`, `cuda`, `cuda:1`, `mps`; by default the best.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Let numbers be off by this part of them, whatever the archive says."),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Record what comes out now in the archive.")
    ] = False,
    env: Annotated[str | None, options.ENV] = None,
    allow_build: Annotated[bool, options.ALLOW_BUILD] = False,
    offline: Annotated[bool, options.OFFLINE] = False,
    allow_pickle: Annotated[bool, options.ALLOW_PICKLE] = False,
    as_json: Annotated[bool, options.JSON] = False,
) -> None:
    """Run the examples that an archive holds, and show what differs by how much.

    `mar archive --example INPUT` puts them there. Use it after moving an archive to another
    machine, device or version of torch. Exits with 1 when an example gives something else.

    **Example:** `mar test mnist.mar --device cuda`
    """
    from mar_core.reports.comparison import Tolerance
    from mar_core.reports.example_runs import run_examples, update_examples
    from mar_core.runtime.interpreter import environment_named
    from mar_core.runtime.recipe import Recipe

    recipe = Recipe(
        source=archive,
        device=device,
        allow_pickle=allow_pickle,
        env=environment_named(env),
        allow_build=allow_build,
        offline=offline,
    )
    given = None if tolerance is None else Tolerance(relative=tolerance)
    results = run_examples(recipe, tolerance=given)
    _show(results, as_json=as_json)
    if update:
        update_examples(archive, results, allow_pickle=allow_pickle)
        typer.echo(f"Recorded {len(results)} anew in {archive}.", err=True)
    elif not all(result.passed for result in results):
        raise typer.Exit(1)


def _show(results: list[ExampleResult], *, as_json: bool) -> None:
    if as_json:
        print_json([result.to_dict() for result in results])
        return
    for result in results:
        typer.echo(f"{'ok    ' if result.passed else 'FAILED'}  {printable(result.example.name)}")
        if result.error:
            typer.echo(f"        {printable(result.error)}")
        for difference in result.differences[:SHOWN]:
            typer.echo(f"        {printable(str(difference))}")
        if len(result.differences) > SHOWN:
            typer.echo(f"        and {len(result.differences) - SHOWN} more")
    passed = sum(result.passed for result in results)
    typer.echo(f"{passed} of {len(results)} examples give what was recorded.")
