"""``mar new``: a handler package to begin with."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mar_core.errors import UsageError

if TYPE_CHECKING:
    from mar_core.scaffold import Project

__all__ = ["new"]


def new(
    handler_name: Annotated[
        str | None,
        typer.Argument(help="What users will type after `--handler`, such as `digit_reader`."),
    ] = None,
    *,
    kind: Annotated[
        str | None,
        typer.Option(help="What it answers: `vision`, `text`, `tensor`, or `function`."),
    ] = None,
    project_name: Annotated[
        str | None,
        typer.Option(help="The package's name; `mar-` and the handler's name by default."),
    ] = None,
    description: Annotated[
        str | None,
        typer.Option(help="One sentence about it."),
    ] = None,
    author: Annotated[
        str | None,
        typer.Option(help="For `pyproject.toml` and the licence."),
    ] = None,
    output_dir: Annotated[Path, typer.Option(help="Where to put the package's folder.")] = Path(),
) -> None:
    """Make a package for a handler of your own: code, tests, metadata, licence, CI.

    Asks for what is not given when it runs on a terminal, and takes the defaults elsewhere. The
    package passes its own tests at once.

    **Example:** `mar new digit_reader --kind vision`
    """
    from mar_core.scaffold import create_project

    given = {
        "kind": kind,
        "project_name": project_name,
        "description": description,
        "author": author,
    }
    ask = sys.stdin.isatty()
    if handler_name is None and not ask:
        raise UsageError("The handler has no name.", hint="Type `mar new NAME`.")
    project = _project(handler_name or _ask_name(), {k: v for k, v in given.items() if v}, ask=ask)
    folder = create_project(project, output_dir)
    typer.echo(
        f"Made {folder}. Next:\n\n"
        f"  cd {folder}\n"
        "  pip install -e '.[dev]'\n"
        "  pytest\n"
        f"  mar archive --model-name model --handler {project.handler_name} …"
    )


def _project(handler_name: str, given: dict[str, str], *, ask: bool) -> Project:
    """The package to make: what was given, and the answers to what was not."""
    from mar_core.scaffold import KINDS, Project, check_project

    project = Project(handler_name=handler_name, **given)
    check_project(project)
    if not ask:
        return project
    questions = {
        "kind": (f"Kind ({', '.join(KINDS)})", project.kind),
        "project_name": ("Package name", project.name),
        "description": ("Description", project.description),
        "author": ("Author", project.author),
    }
    for key, (question, default) in questions.items():
        if key not in given:
            project = _ask(question, project, key, default)
    return project


def _ask_name() -> str:
    from mar_core.scaffold import Project

    nameless = Project(handler_name="")
    return _ask("Handler name, such as digit_reader", nameless, "handler_name").handler_name


def _ask(question: str, project: Project, key: str, default: str | None = None) -> Project:
    """Ask for one thing more until the answer makes a package that works."""
    from mar_core.scaffold import check_project

    while True:
        changed = replace(project, **{key: typer.prompt(question, default=default)})
        try:
            check_project(changed)
        except UsageError as error:
            typer.echo(str(error), err=True)
        else:
            return changed
