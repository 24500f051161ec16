"""The command line: ``mar COMMAND``.

One thin module for each command: a typer signature, one import inside the function, one call, and
what to print. This module puts them together and is the one place where errors become sentences.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from mar_core.cli import (
    archive,
    cache,
    diff,
    doctor,
    inspect,
    new,
    plugins,
    run,
    test,
    update,
    validate,
)
from mar_core.cli.command import MarCommand, MarGroup
from mar_core.cli.messages import show_messages
from mar_core.errors import MarError

__all__ = ["app", "main"]

INTERRUPTED = 130

# A pipe gets plain help: rich takes longer to import than everything else together.
app = typer.Typer(
    name="mar",
    cls=MarGroup,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="markdown" if sys.stdout.isatty() else None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        import mar_core

        typer.echo(f"mar {mar_core.__version__}")
        raise typer.Exit


def _no_plugins(value: bool) -> None:
    """Set before the command is looked for: a plugin may bring it; worker processes inherit it."""
    if value:
        names = os.environ.get("MAR_DISABLED_PLUGINS", "")
        os.environ["MAR_DISABLED_PLUGINS"] = f"*,{names}"


@app.callback()
def _root(
    no_plugins: Annotated[
        bool,
        typer.Option(
            "--no-plugins",
            help="Load no plugin but those that come with mar.",
            callback=_no_plugins,
            is_eager=True,
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Package a PyTorch model with the code that serves it, prove it sound, and run it.

    Archives and handlers made for TorchServe work unchanged, and what is made here works there.

    **Start here:** `mar archive --help`, then `mar run --help`.
    """


_MAKE, _LOOK, _TOOLS = "Make", "Look", "Tools"
app.command("archive", cls=MarCommand, rich_help_panel=_MAKE)(archive.archive)
app.command("update", cls=MarCommand, rich_help_panel=_MAKE)(update.update)
app.command("run", cls=MarCommand, rich_help_panel=_MAKE)(run.run)
app.command("test", cls=MarCommand, rich_help_panel=_MAKE)(test.check_examples)
app.command("validate", cls=MarCommand, rich_help_panel=_LOOK)(validate.validate)
app.command("inspect", cls=MarCommand, rich_help_panel=_LOOK)(inspect.inspect)
app.command("diff", cls=MarCommand, rich_help_panel=_LOOK)(diff.diff)
app.command("new", cls=MarCommand, rich_help_panel=_TOOLS)(new.new)
app.command("plugins", cls=MarCommand, rich_help_panel=_TOOLS)(plugins.plugins)
app.command("doctor", cls=MarCommand, rich_help_panel=_TOOLS)(doctor.doctor)
app.command("cache", cls=MarCommand, rich_help_panel=_TOOLS)(cache.cache)


def main() -> None:
    """Run ``mar`` with the arguments of this process and exit with its code."""
    show_messages()
    try:
        app()
    except MarError as error:
        print(f"mar: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of a pipe has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
