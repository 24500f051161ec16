"""``mar archive``: package a model."""

from __future__ import annotations

from pathlib import Path

from mar_core.archives.request import ArchiveFormat, ArchiveRequest, Runtime
from mar_core.cli import options  # noqa: TC001 - typer reads the annotations


def archive(
    *,
    model_name: options.ModelName,
    handler: options.Handler,
    version: options.Version,
    serialized_file: options.SerializedFile | None = None,
    model_file: options.ModelFile | None = None,
    extra_files: options.ExtraFiles | None = None,
    requirements_file: options.RequirementsFile | None = None,
    config_file: options.ConfigFile | None = None,
    runtime: options.RuntimeName = Runtime.PYTHON,
    export_path: options.ExportPath | None = None,
    archive_format: options.Format = ArchiveFormat.DEFAULT,
    force: options.Force = False,
    allow_pickle: options.AllowPickle = False,
    example: options.Example | None = None,
    quiet: options.Quiet = False,
) -> None:
    """Package a model with the code that serves it into one file.

    Takes the flags of `torch-model-archiver`. Everything is checked first; when something is wrong,
    nothing is written. The same inputs give the same bytes.

    **Example:**

    `mar archive --model-name mnist --version 1.0 --model-file mnist.py --serialized-file
    mnist_cnn.pt --handler mnist_handler.py`

    writes `mnist.mar`. Run it with `mar run mnist.mar 7.png`.
    """
    from mar_core.cli.written import report, writing
    from mar_core.packing import create

    request = ArchiveRequest(
        model_name=model_name,
        handler=handler,
        version=version,
        model_file=model_file,
        serialized_file=serialized_file,
        extra_files=tuple(extra_files or ()),
        runtime=runtime,
        export_path=export_path or Path(),
        archive_format=archive_format,
        force=force,
        requirements_file=requirements_file,
        config_file=config_file,
        allow_pickle=allow_pickle,
        examples=tuple(example or ()),
    )
    with writing(quiet=quiet) as progress:
        written = create(request, progress=progress)
    report(written, quiet=quiet)
