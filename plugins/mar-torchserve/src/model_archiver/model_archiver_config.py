"""The flags of ``torch-model-archiver`` as one value."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path
    from typing import Self

__all__ = ["ModelArchiverConfig"]


@dataclass
class ModelArchiverConfig:
    """What to archive and where to; the names are those of the flags.

    Attributes:
        model_name: The archive's name.
        handler: One of TorchServe's handlers, or a file.
        version: The model's version.
        serialized_file: The weights.
        model_file: The file that defines the network.
        extra_files: A comma list of files, folders and patterns.
        runtime: ``python``, ``python3`` or ``LSP``.
        export_path: The folder to write to, which must be there.
        archive_format: How the archive is stored.
        force: Replace an archive that is there.
        requirements_file: A pip requirements file.
        config_file: A model-config.yaml.
    """

    model_name: str
    handler: str
    version: str
    serialized_file: str | None = None
    model_file: str | None = None
    extra_files: str | None = None
    runtime: str = "python"
    export_path: str | Path = field(default_factory=os.getcwd)
    archive_format: Literal["default", "tgz", "no-archive", "zip-store"] = "default"
    force: bool = False
    requirements_file: str | None = None
    config_file: str | None = None

    @classmethod
    def from_args(cls, args: Namespace) -> Self:
        """The configuration that parsed arguments hold; other attributes of theirs are ignored."""
        return cls(**{known.name: getattr(args, known.name) for known in fields(cls)})
