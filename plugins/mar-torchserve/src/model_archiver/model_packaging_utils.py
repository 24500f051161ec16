"""The steps of making an archive, one by one."""

# Test suites written for torch-model-archiver replace these very functions of `os`.
# ruff: noqa: PTH109, PTH118

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING

from mar_core import ArchiveError, write_archive
from mar_core import Manifest as Written
from model_archiver import gathering
from model_archiver.export_utils import ExportUtils
from model_archiver.manifest_components.manifest import Manifest
from model_archiver.manifest_components.model import Model
from model_archiver.model_archiver_error import ModelArchiverError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from model_archiver.model_archiver_config import ModelArchiverConfig

__all__ = ["ModelExportUtils", "archiving_options", "model_handlers"]

archiving_options = {"tgz": ".tar.gz", "no-archive": "", "zip-store": ".mar", "default": ".mar"}

# TorchServe's handlers, and what they take.
model_handlers = {
    "base_handler": "anything",
    "text_classifier": "text",
    "image_classifier": "vision",
    "object_detector": "vision",
    "image_segmenter": "vision",
    "dali_image_classifier": "vision",
    "vllm_handler": "text",
    "trt_llm_handler": "text",
}

_log = logging.getLogger()
_MANIFEST = "MAR-INF/MANIFEST.json"


class ModelExportUtils(ExportUtils):
    """torch-model-archiver's helpers, under their names."""

    KIND = "model"
    ENDING = ".mar"
    ERROR = ModelArchiverError

    @staticmethod
    def get_archive_export_path(
        export_file_path: str | Path, model_name: str, archive_format: str
    ) -> str:
        """Where the archive of that name and format goes."""
        ending = archiving_options.get(archive_format)
        return os.path.join(export_file_path, f"{model_name}{ending}")

    @staticmethod
    def check_mar_already_exists(
        model_name: str,
        export_file_path: str | Path | None,
        overwrite: bool,  # noqa: FBT001 - torch-model-archiver's own signature
        archive_format: str = "default",
    ) -> str | Path:
        """The folder to write to, once the place in it is free or may be overwritten.

        Raises:
            ModelArchiverError: The place is taken.
        """
        folder = os.getcwd() if export_file_path is None else export_file_path
        path = ModelExportUtils.get_archive_export_path(folder, model_name, archive_format)
        ModelExportUtils._check_free(path, overwrite=overwrite)
        return folder

    @staticmethod
    def find_unique(files: Iterable[str], suffix: str) -> str | None:
        """The one file with that ending, or None.

        Raises:
            ModelArchiverError: There are several.
        """
        found = [file for file in files if file.endswith(suffix)]
        if len(found) > 1:
            raise ModelArchiverError(
                f"model-archiver expects only one {suffix} file in the folder. Found {len(found)} "
                f"files {found} in model-path."
            )
        return found[0] if found else None

    @staticmethod
    def generate_model(modelcfg: ModelArchiverConfig) -> Model:
        """The ``model`` object of the manifest."""
        return Model(
            model_name=modelcfg.model_name,
            serialized_file=modelcfg.serialized_file,
            handler=modelcfg.handler,
            model_file=modelcfg.model_file,
            model_version=modelcfg.version,
            requirements_file=modelcfg.requirements_file,
            config_file=getattr(modelcfg, "config_file", None),
        )

    @staticmethod
    def generate_manifest_json(config: ModelArchiverConfig) -> str:
        """The text of ``MANIFEST.json``."""
        return str(Manifest(config.runtime, ModelExportUtils.generate_model(config)))

    @staticmethod
    def copy_artifacts(model_name: str, runtime: str, **kwargs: str | None) -> str:
        """Gather files in a new folder of their own, as links to where they are.

        Args:
            model_name: The name that the folder begins with.
            runtime: What the handler is written in.
            **kwargs: Paths by ``handler``, ``extra_files`` and any other name.

        Returns:
            The folder, for the caller to remove.

        Raises:
            OSError: A file is missing.
            ValueError: An extra file is neither a file nor a folder.
        """
        with ModelExportUtils._new_folder(model_name) as folder:
            gathering.gather(folder, runtime, kwargs, known=model_handlers)
        return str(folder)

    @staticmethod
    def archive(
        export_file: str | Path,
        model_name: str,
        model_path: str | Path,
        manifest: str,
        archive_format: str = "default",
    ) -> None:
        """Write the files of a folder as an archive, in place of one that is there.

        Args:
            export_file: The folder to write to.
            model_name: The archive's name.
            model_path: The folder whose files go in.
            manifest: The text of ``MANIFEST.json``.
            archive_format: How the archive is stored.

        Raises:
            OSError: The archive cannot be written.
            MarError: Its members would not make a sound archive.
        """
        target = ModelExportUtils.get_archive_export_path(export_file, model_name, archive_format)
        files = ModelExportUtils._files_of(model_path)
        files.pop(_MANIFEST, None)
        try:
            told = Written(json.loads(manifest))
            write_archive(
                told, files, target, archive_format=archive_format, force=True, digests=False
            )
        except ArchiveError as error:
            # One line each; the traceback follows where nobody catches the error.
            if not isinstance(error.__cause__, OSError):
                _log.error("Failed to convert %s to the model-archive.", model_name)
                raise
            _log.error(
                'Failed to save the model-archive to model-path "%s". Check the file permissions '
                "and retry.",
                export_file,
            )
            raise error.__cause__ from error

    @staticmethod
    def check_model_name_regex_or_exit(model_name: str) -> None:
        """Refuse names with other characters than letters, digits, ``_``, ``-`` and ``.``.

        Raises:
            ModelArchiverError: The name is not allowed.
        """
        ModelExportUtils._check_name(model_name)

    @staticmethod
    def validate_inputs(model_name: str, export_path: str | Path) -> None:
        """Check the name and the place.

        Raises:
            ModelArchiverError: The name is not allowed, or the place is no folder.
        """
        ModelExportUtils.check_model_name_regex_or_exit(model_name)
        ModelExportUtils._check_folder(export_path)
