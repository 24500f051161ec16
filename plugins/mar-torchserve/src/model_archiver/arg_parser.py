"""The command line of ``torch-model-archiver``."""

from __future__ import annotations

import argparse
from pathlib import Path

from model_archiver.manifest_components.manifest import RuntimeType
from model_archiver.model_archiver_config import ModelArchiverConfig

__all__ = ["ArgParser"]


class ArgParser:
    """Reads the flags."""

    @staticmethod
    def export_model_args_parser() -> ModelArchiverConfig:
        """Read the arguments of this process; a mistake in them ends it with exit code 2."""
        return ModelArchiverConfig.from_args(_parser().parse_args())


def _parser() -> argparse.ArgumentParser:
    """The flags, in the order in which torch-model-archiver names missing ones."""
    parser = argparse.ArgumentParser(
        prog="torch-model-archiver",
        description="Package a model with the code that serves it. The same flags, and more, are "
        "those of `mar archive`.",
        formatter_class=argparse.RawTextHelpFormatter,
    )
    add = parser.add_argument
    add("--model-name", required=True, help="the archive's name, and the model's")
    add("--serialized-file", help="the weights: a state dict, TorchScript or ONNX")
    add("--model-file", help="the file that defines the network, for a state dict")
    add("--handler", required=True, help="one of TorchServe's handlers, or a file")
    add("--extra-files", help="a comma list of files, folders and patterns")
    add(
        "--runtime",
        default=RuntimeType.PYTHON.value,
        choices=[kind.value for kind in RuntimeType],
        help="what the handler is written in (default: python)",
    )
    add("--export-path", default=str(Path.cwd()), help="the folder to write to (default: this one)")
    add(
        "--archive-format",
        default="default",
        choices=["tgz", "no-archive", "zip-store", "default"],
        help="tgz: NAME.tar.gz\n"
        "no-archive: the folder NAME\n"
        "zip-store: NAME.mar, nothing deflated\n"
        "default: NAME.mar, texts deflated",
    )
    add("-f", "--force", action="store_true", help="replace an archive that is there")
    add("-v", "--version", required=True, help="the model's version")
    add("-r", "--requirements-file", help="the packages that the handler needs")
    add("-c", "--config-file", help="a model-config.yaml")
    return parser
