"""``mar archive``: package a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mar_core.cli import options
from mar_core.cli.command import check_given
from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.build.request import ArchiveRequest, Imported
    from mar_core.findings import Finding
    from mar_core.format.sources import Sources


def archive(
    *,
    source: Annotated[Path | None, options.FROM] = None,
    model_name: Annotated[str | None, options.MODEL_NAME] = None,
    handler: Annotated[str | None, options.HANDLER] = None,
    version: Annotated[str | None, options.VERSION] = None,
    serialized_file: Annotated[Path | None, options.SERIALIZED_FILE] = None,
    model_file: Annotated[Path | None, options.MODEL_FILE] = None,
    extra_files: Annotated[list[str] | None, options.EXTRA_FILES] = None,
    requirements_file: Annotated[Path | None, options.REQUIREMENTS_FILE] = None,
    lock: Annotated[bool, options.LOCK] = False,
    config_file: Annotated[Path | None, options.CONFIG_FILE] = None,
    convert: Annotated[options.ConversionName | None, options.CONVERT] = None,
    runtime: Annotated[options.RuntimeName, options.RUNTIME_NAME] = "python",
    export_path: Annotated[Path | None, options.EXPORT_PATH] = None,
    archive_format: Annotated[options.FormatName, options.FORMAT] = "default",
    force: Annotated[bool, options.FORCE] = False,
    allow_build: Annotated[bool, options.ALLOW_BUILD] = False,
    allow_pickle: Annotated[bool, options.ALLOW_PICKLE] = False,
    example: Annotated[list[Path] | None, options.EXAMPLE] = None,
    env: Annotated[str | None, options.ENV] = None,
    dry_run: Annotated[bool, options.DRY_RUN] = False,
    quiet: Annotated[bool, options.QUIET] = False,
) -> None:
    """Package a model with the code that serves it into one file.

    Takes the flags of `torch-model-archiver`, and `--from`, which finds out what they would say.
    Everything is checked first; when something is wrong, nothing is written. The same inputs give
    the same bytes. Without `--from`, `--model-name`, `--handler` and `--version` are needed.

    **Example:**

    `mar archive --model-name mnist --version 1.0 --model-file mnist.py --serialized-file
    mnist_cnn.pt --handler mnist_handler.py`

    writes `mnist.mar`. Run it with `mar run mnist.mar 7.png`.
    """
    from mar_core.build.packing import create
    from mar_core.build.request import ArchiveFormat, ArchiveRequest, Runtime
    from mar_core.cli.written import ending_cleanly, print_written

    if source is None:
        given = {"--model-name": model_name, "--handler": handler, "--version": version}
        check_given(given, command="mar archive")
    asked = ArchiveRequest(
        model_name=model_name or "",
        handler=handler or "",
        version=version,
        model_file=model_file,
        serialized_file=serialized_file,
        extra_files=tuple(extra_files or ()),
        runtime=Runtime(runtime),
        export_path=export_path or Path(),
        archive_format=ArchiveFormat(archive_format),
        force=force,
        requirements_file=requirements_file,
        lock=lock,
        allow_build=allow_build,
        config_file=config_file,
        allow_pickle=allow_pickle,
        examples=tuple(example or ()),
        env=env,
    )
    if source is None and convert is None and not dry_run:
        with ending_cleanly(quiet=quiet) as progress:
            written = create(asked, progress=progress)
        print_written(written, quiet=quiet)
        return
    _archive_from(asked, source=source, convert=convert, dry_run=dry_run, quiet=quiet)


def _archive_from(
    asked: ArchiveRequest, *, source: Path | None, convert: str | None, dry_run: bool, quiet: bool
) -> None:
    """Find out what is to be packed, say so, and pack it unless that is all that is wanted.

    Args:
        asked: What the flags said.
        source: What says the rest, or None.
        convert: What state dicts become, or None.
        dry_run: Write nothing.
        quiet: Print nothing when all is well.
    """
    from mar_core.build.importing import requested
    from mar_core.build.packing import create, prepare_sources
    from mar_core.cli.written import ending_cleanly, print_written

    with (
        ending_cleanly(quiet=quiet or dry_run) as progress,
        requested(asked, source=source, convert=convert) as made,
    ):
        for line in () if quiet and not dry_run else _source_lines(made):
            typer.echo(line, err=not dry_run)
        if dry_run:
            # Nothing is replaced, so an archive that is there already is no reason to show nothing.
            _show_plan(made, *prepare_sources(replace(made.request, force=True)))
            return
        written = create(made.request, progress=progress)
    print_written(written, quiet=quiet)


def _show_plan(made: Imported, sources: Sources, findings: list[Finding]) -> None:
    """Print what would be packed: where to, with which handler, each file with its size."""
    for finding in findings:
        typer.echo(str(finding), err=True)
    for line in [*_facts(made, sources), *_files(sources)]:
        typer.echo(line)


def _source_lines(made: Imported) -> Iterator[str]:
    if made.what:
        yield f"source    {printable(made.what)}"
    for reason in made.reasons:
        yield f"          {printable(reason)}"


def _facts(made: Imported, sources: Sources) -> Iterator[str]:
    manifest = sources.manifest
    owner = manifest.mar.get("handler") or {}
    where = f" ({owner['distribution']} {owner['version']})" if owner else ""
    name = f"{manifest.model_name} {manifest.model_version or ''}".rstrip()
    yield f"model     {printable(name)}"
    yield f"handler   {printable(str(manifest.handler))}{where}"
    target = made.request.target
    there = "" if made.request.force or not target.exists() else ", which exists: add --force"
    yield f"writes    {printable(str(target))}{there}"


def _files(sources: Sources) -> Iterator[str]:
    label = "files"
    for name, member in sources.members.items():
        yield f"{label:<9} {member.size:>14,}  {printable(name)}"
        label = ""
