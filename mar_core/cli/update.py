"""``mar update``: change parts of an archive."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from mar_core.archives.request import Runtime  # noqa: TC001
from mar_core.cli import options  # noqa: TC001


def update(
    *,
    archive: Annotated[Path, typer.Argument(help="The archive to change.", show_default=False)],
    handler: options.Handler | None = None,
    version: options.Version | None = None,
    serialized_file: options.SerializedFile | None = None,
    model_file: options.ModelFile | None = None,
    extra_files: options.ExtraFiles | None = None,
    requirements_file: options.RequirementsFile | None = None,
    config_file: options.ConfigFile | None = None,
    runtime: Annotated[Runtime | None, typer.Option(help="What the handler is written in.")] = None,
    remove: options.Remove | None = None,
    allow_pickle: options.AllowPickle = False,
    quiet: options.Quiet = False,
) -> None:
    """Change parts of an archive; what is not named stays.

    The result is byte by byte what `mar archive` makes of the same files. Of a `.mar` only the end
    is written anew, so a new handler takes no time however large the weights are. The archive is
    replaced in one step: a reader sees the old one or the new one.

    **Example:**

    `mar update mnist.mar --handler new_handler.py`
    """
    from mar_core.archives.update import Changes
    from mar_core.cli.written import report, writing
    from mar_core.updating import apply_changes

    changes = Changes(
        handler=handler,
        version=version,
        model_file=model_file,
        serialized_file=serialized_file,
        extra_files=tuple(extra_files or ()),
        requirements_file=requirements_file,
        config_file=config_file,
        runtime=runtime,
        remove=tuple(remove or ()),
    )
    with writing(quiet=quiet) as progress:
        written = apply_changes(archive, changes, allow_pickle=allow_pickle, progress=progress)
    report(written, quiet=quiet)
