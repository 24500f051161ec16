"""Making an archive from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_archiver import model_packaging

if TYPE_CHECKING:
    from model_archiver.model_archiver_config import ModelArchiverConfig

__all__ = ["ModelArchiver"]


class ModelArchiver:
    """The entry for programs, as ``torch-model-archiver`` is for people."""

    @staticmethod
    def generate_model_archive(config: ModelArchiverConfig) -> None:
        """Write the archive that a configuration describes.

        Args:
            config: The command line's flags as attributes.

        Raises:
            ModelArchiverError: The name is not allowed, or the place is taken or no folder.
            OSError: A file is missing, or the archive cannot be written.
        """
        model_packaging.generate_model_archive(config)
