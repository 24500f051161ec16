"""The options that say what is in an archive, as several commands have them."""

from __future__ import annotations

from typing import Literal

import typer

__all__ = [
    "ALLOW_BUILD",
    "ALLOW_PICKLE",
    "CONFIG_FILE",
    "CONVERT",
    "DRY_RUN",
    "ENV",
    "EXAMPLE",
    "EXPORT_PATH",
    "EXTRA_FILES",
    "FORCE",
    "FORMAT",
    "FROM",
    "HANDLER",
    "JSON",
    "LOCK",
    "MODEL_FILE",
    "MODEL_NAME",
    "OFFLINE",
    "QUIET",
    "REMOVE",
    "REQUIREMENTS_FILE",
    "RUNTIME_NAME",
    "SERIALIZED_FILE",
    "VERSION",
    "ConversionName",
    "FormatName",
    "RuntimeName",
]

# The values of ArchiveFormat and Runtime, whose module brings all of mar_core.archives with it.
FormatName = Literal["default", "zip-store", "tgz", "no-archive"]
RuntimeName = Literal["python", "python3", "LSP"]
ConversionName = Literal["safetensors"]

_WHAT, _WHERE, _MORE = "What goes in", "Where it goes", "More"

FROM = typer.Option(
    "--from",
    metavar="SOURCE",
    help="A folder or file to make the archive of: a Hugging Face model, a SageMaker "
    "`model.tar.gz`, an MLflow model, weights that hold their network. A plugin that knows it "
    "says what goes in; other options win over that, and none is needed.",
    rich_help_panel=_WHAT,
)
CONVERT = typer.Option(
    "--convert",
    help="Turn a state dict (`.pt`, `.bin`) into safetensors.",
    rich_help_panel=_WHAT,
)
DRY_RUN = typer.Option(
    "--dry-run",
    help="Say what would be packed and why, and write nothing.",
    rich_help_panel=_MORE,
)
MODEL_NAME = typer.Option(
    "--model-name",
    metavar="NAME",
    help="The model's name: letters, digits, `_`, `-`, `.`; the file is called after it.",
    rich_help_panel=_WHAT,
)
HANDLER = typer.Option(
    "--handler",
    metavar="HANDLER",
    help="What serves the model: a registered name (`image_classifier`; `mar plugins` lists "
    "them), a file (`handler.py`), a function or class of it (`handler.py:predict`), or a "
    "class of an installed package (`package.module:Class`).",
    rich_help_panel=_WHAT,
)
VERSION = typer.Option(
    "--version",
    "-v",
    metavar="VERSION",
    help="The model's version: letters, digits, `_`, `-`, `.`, such as `1.0`.",
    rich_help_panel=_WHAT,
)
SERIALIZED_FILE = typer.Option(
    "--serialized-file",
    metavar="FILE",
    help="The weights: a state dict, TorchScript, safetensors, `.pt2` or ONNX file.",
    rich_help_panel=_WHAT,
)
MODEL_FILE = typer.Option(
    "--model-file",
    metavar="FILE",
    help="The Python file that defines the network, with one `torch.nn.Module` class. "
    "A state dict needs it.",
    rich_help_panel=_WHAT,
)
EXTRA_FILES = typer.Option(
    "--extra-files",
    metavar="FILES",
    help="More files: a comma list of files, folders and patterns (`*`, `?`, `**`). The "
    "contents of a folder land at the root; `src=pkg/` puts them under `pkg/`. May be "
    "repeated.",
    rich_help_panel=_WHAT,
)
REQUIREMENTS_FILE = typer.Option(
    "--requirements-file",
    "-r",
    metavar="FILE",
    help="The packages that the handler needs, as a requirements.txt for pip.",
    rich_help_panel=_WHAT,
)
JSON = typer.Option("--json", help="Print JSON.")
LOCK = typer.Option(
    "--lock",
    help="Resolve the requirements with uv, and keep the versions and hashes as `pylock.toml`, for "
    "`--env auto`.",
    rich_help_panel=_WHAT,
)
ALLOW_BUILD = typer.Option(
    "--allow-build",
    help="Take packages that have no wheels for this machine too: building them runs their code.",
    show_default=False,
    rich_help_panel=_MORE,
)
ENV = typer.Option(
    "--env",
    envvar="MAR_ENV",
    metavar="auto|off|FOLDER",
    help="Run in the environment that the archive brings (`auto`), in mar's own (`off`), or in a "
    "virtual environment of yours.",
    show_default=False,
    rich_help_panel=_MORE,
)
OFFLINE = typer.Option(
    "--offline",
    help="Make the environment of what uv has cached, without a network.",
    show_default=False,
    rich_help_panel=_MORE,
)
CONFIG_FILE = typer.Option(
    "--config-file",
    "-c",
    metavar="FILE",
    help="A model-config.yaml: batch size, device, compilation, the handler's own keys.",
    rich_help_panel=_WHAT,
)
RUNTIME_NAME = typer.Option(
    "--runtime", help="What the handler is written in.", rich_help_panel=_WHAT
)
REMOVE = typer.Option(
    "--remove",
    metavar="MEMBER",
    help="Take a member out, by its name in the archive. May be repeated.",
    rich_help_panel=_WHAT,
)
EXPORT_PATH = typer.Option(
    "--export-path",
    metavar="FOLDER",
    help="The folder to write to, by default the current one; made if it is missing.",
    rich_help_panel=_WHERE,
)
FORMAT = typer.Option(
    "--archive-format",
    help="`default`: `NAME.mar`, weights stored, text deflated; `zip-store`: `NAME.mar`, all "
    "stored; `tgz`: `NAME.tar.gz`; `no-archive`: the folder `NAME`.",
    rich_help_panel=_WHERE,
)
FORCE = typer.Option(
    "--force", "-f", help="Replace an archive that is there.", rich_help_panel=_WHERE
)
ALLOW_PICKLE = typer.Option(
    "--trust",
    "--allow-pickle",
    help="Take weights and pickles that can run code when they are loaded; `mar trust` says it "
    "once for an archive.",
    rich_help_panel=_MORE,
)
EXAMPLE = typer.Option(
    "--example",
    metavar="FILE",
    help="An input to run once and keep in the archive with its result, for `mar test`. May be "
    "repeated.",
    rich_help_panel=_MORE,
)
QUIET = typer.Option("--quiet", "-q", help="Print nothing when all is well.", rich_help_panel=_MORE)
