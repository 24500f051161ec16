"""``mar archive``: package a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mar_core.archives.request import ArchiveFormat, ArchiveRequest, Runtime

if TYPE_CHECKING:
    from mar_core.packing import Written

_WHAT, _WHERE, _MORE = "What goes in", "Where it goes", "More"


def archive(
    *,
    model_name: Annotated[
        str,
        typer.Option(
            "--model-name",
            metavar="NAME",
            help="The model's name: letters, digits, `_`, `-`, `.`; the file is called after it.",
            rich_help_panel=_WHAT,
        ),
    ],
    handler: Annotated[
        str,
        typer.Option(
            "--handler",
            metavar="HANDLER",
            help="What serves the model: a registered name (`image_classifier`; all: `mar "
            "plugins`), a file (`handler.py`), a function or class of a file "
            "(`handler.py:predict`), or a class of an installed package "
            "(`package.module:Class`).",
            rich_help_panel=_WHAT,
        ),
    ],
    version: Annotated[
        str,
        typer.Option(
            "--version",
            "-v",
            metavar="VERSION",
            help="The model's version, as you like it: `1.0`.",
            rich_help_panel=_WHAT,
        ),
    ],
    serialized_file: Annotated[
        Path | None,
        typer.Option(
            "--serialized-file",
            metavar="FILE",
            help="The weights: a state dict, TorchScript, safetensors, `.pt2`, ONNX.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    model_file: Annotated[
        Path | None,
        typer.Option(
            "--model-file",
            metavar="FILE",
            help="The Python file that defines the network, with one `torch.nn.Module` class. "
            "A state dict needs it.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    extra_files: Annotated[
        list[str] | None,
        typer.Option(
            "--extra-files",
            metavar="FILES",
            help="More files: a comma list of files, folders and patterns (`*`, `?`, `**`). A "
            "folder's contents land at the root; `src=pkg/` keeps them under `pkg/`. "
            "May be repeated.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    requirements_file: Annotated[
        Path | None,
        typer.Option(
            "--requirements-file",
            "-r",
            metavar="FILE",
            help="The packages that the handler needs, as pip's requirements.txt.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config-file",
            "-c",
            metavar="FILE",
            help="A model-config.yaml: batch size, device, compilation, the handler's own keys.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    runtime: Annotated[
        Runtime,
        typer.Option("--runtime", help="What the handler is written in.", rich_help_panel=_WHAT),
    ] = Runtime.PYTHON,
    export_path: Annotated[
        Path | None,
        typer.Option(
            "--export-path",
            metavar="FOLDER",
            help="The folder to write to; made if missing.  [default: the current folder]",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    archive_format: Annotated[
        ArchiveFormat,
        typer.Option(
            "--archive-format",
            help="`default`: `NAME.mar`, weights stored, text deflated; `zip-store`: `NAME.mar`, "
            "all stored; `tgz`: `NAME.tar.gz`; `no-archive`: the folder `NAME`.",
            rich_help_panel=_WHERE,
        ),
    ] = ArchiveFormat.DEFAULT,
    force: Annotated[
        bool,
        typer.Option(
            "--force", "-f", help="Replace an archive that is there.", rich_help_panel=_WHERE
        ),
    ] = False,
    allow_pickle: Annotated[
        bool,
        typer.Option(
            "--allow-pickle",
            help="Take weights that can run code when they are loaded.",
            rich_help_panel=_MORE,
        ),
    ] = False,
    example: Annotated[
        list[Path] | None,
        typer.Option(
            "--example",
            metavar="FILE",
            help="An input to run once and keep in the archive with its result, for `mar test`. "
            "May be repeated.",
            rich_help_panel=_MORE,
        ),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", help="Print nothing when all is well.", rich_help_panel=_MORE
        ),
    ] = False,
) -> None:
    """Package a model with the code that serves it into one file.

    Takes the flags of `torch-model-archiver`. Everything is checked first; when something is wrong,
    nothing is written. The same inputs give the same bytes.

    **Example:**

    `mar archive --model-name mnist --version 1.0 --model-file mnist.py --serialized-file
    mnist_cnn.pt --handler mnist_handler.py`

    writes `mnist.mar`. Run it with `mar run mnist.mar 7.png`.
    """
    from mar_core.cli.progress import copying
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
    with copying(quiet=quiet) as progress:
        written = create(request, progress=progress)
    report(written, quiet=quiet)


def report(written: Written, *, quiet: bool) -> None:
    """Print warnings on stderr, and the path, size and digest of an archive on stdout."""
    for finding in written.findings:
        typer.echo(str(finding), err=True)
    if not quiet:
        typer.echo(
            f"{written.path}  {_size(written.path):,} bytes  sha256:{written.manifest.digest}"
        )


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
