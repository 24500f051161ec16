"""The command ``torch-model-archiver``, and the function behind it."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

from model_archiver.arg_parser import ArgParser
from model_archiver.model_archiver_error import ModelArchiverError
from model_archiver.model_packaging_utils import ModelExportUtils

if TYPE_CHECKING:
    from model_archiver.model_archiver_config import ModelArchiverConfig

__all__ = ["generate_model_archive", "package_model"]


def generate_model_archive(config: ModelArchiverConfig | None = None) -> None:
    """Write an archive.

    Args:
        config: What to archive; None reads the command line.

    Raises:
        ModelArchiverError: The name is not allowed, or the place is taken or no folder.
        OSError: A file is missing, or the archive cannot be written.
    """
    logging.basicConfig(format="%(levelname)s - %(message)s")
    wanted = ArgParser.export_model_args_parser() if config is None else config
    package_model(wanted, manifest=ModelExportUtils.generate_manifest_json(wanted))


def package_model(config: ModelArchiverConfig, manifest: str) -> None:
    """Write an archive with a manifest that is given.

    Args:
        config: What to archive.
        manifest: The text of ``MANIFEST.json``.

    Raises:
        ModelArchiverError: The name is not allowed, or the place is taken or no folder.
        OSError: A file is missing, or the archive cannot be written.
    """
    name, archive_format = config.model_name, config.archive_format
    try:
        ModelExportUtils.validate_inputs(name, config.export_path)
        folder = ModelExportUtils.check_mar_already_exists(
            name, config.export_path, config.force, archive_format
        )
    except ModelArchiverError as error:
        logging.getLogger().error(error)  # noqa: TRY400 - the traceback follows
        raise
    files = {
        "model_file": config.model_file,
        "serialized_file": config.serialized_file,
        "handler": config.handler,
        "extra_files": config.extra_files,
        "requirements-file": config.requirements_file,
        "config_file": config.config_file,
    }
    gathered = ModelExportUtils.copy_artifacts(name, config.runtime, **files)
    try:
        ModelExportUtils.archive(folder, name, gathered, manifest, archive_format)
    finally:
        shutil.rmtree(gathered)


if __name__ == "__main__":
    generate_model_archive()
