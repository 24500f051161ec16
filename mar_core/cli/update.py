"""``mar update``: change parts of an archive."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from mar_core.cli import options


def update(
    *,
    archive: Annotated[Path, typer.Argument(help="The archive to change.", show_default=False)],
    handler: Annotated[str | None, options.HANDLER] = None,
    version: Annotated[str | None, options.VERSION] = None,
    serialized_file: Annotated[Path | None, options.SERIALIZED_FILE] = None,
    model_file: Annotated[Path | None, options.MODEL_FILE] = None,
    extra_files: Annotated[list[str] | None, options.EXTRA_FILES] = None,
    requirements_file: Annotated[Path | None, options.REQUIREMENTS_FILE] = None,
    lock: Annotated[bool, options.LOCK] = False,
    config_file: Annotated[Path | None, options.CONFIG_FILE] = None,
    runtime: Annotated[options.RuntimeName | None, options.RUNTIME_NAME] = None,
    remove: Annotated[list[str] | None, options.REMOVE] = None,
    in_place: Annotated[
        bool,
        typer.Option(
            "--in-place",
            help="Change the end of the file itself, in place of writing a new one beside it. The "
            "weights take no room and no time; nobody may read the archive meanwhile.",
        ),
    ] = False,
    allow_build: Annotated[bool, options.ALLOW_BUILD] = False,
    allow_pickle: Annotated[bool, options.ALLOW_PICKLE] = False,
    quiet: Annotated[bool, options.QUIET] = False,
) -> None:
    """Change parts of an archive; what is not named stays.

    The result is byte by byte what `mar archive` makes of the same files. Of a `.mar` only the end
    is made anew; the weights are not read again. The archive is replaced in one step: a reader sees
    the old one or the new one. With `--in-place` the file itself is changed, and a crash leaves the
    old archive or the new one.

    **Example:**

    `mar update mnist.mar --handler new_handler.py`
    """
    from mar_core.build.request import Runtime
    from mar_core.build.updating import Changes, apply_changes
    from mar_core.cli.written import ending_cleanly, print_written

    changes = Changes(
        handler=handler,
        version=version,
        model_file=model_file,
        serialized_file=serialized_file,
        extra_files=tuple(extra_files or ()),
        requirements_file=requirements_file,
        lock=lock,
        allow_build=allow_build,
        config_file=config_file,
        runtime=None if runtime is None else Runtime(runtime),
        remove=tuple(remove or ()),
    )
    with ending_cleanly(quiet=quiet) as progress:
        written = apply_changes(
            archive, changes, allow_pickle=allow_pickle, in_place=in_place, progress=progress
        )
    print_written(written, quiet=quiet)
