"""The steps of making a workflow archive, one by one."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from model_archiver import gathering

from workflow_archiver.manifest_components.manifest import Manifest
from workflow_archiver.manifest_components.workflow import Workflow
from workflow_archiver.workflow_archiver_error import WorkflowArchiverError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Sequence

__all__ = ["WorkflowExportUtils"]

MANIFEST = "WAR-INF/MANIFEST.json"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_\-.]*$"
_UNWANTED = {"__MACOSX", "__pycache__"}
_log = logging.getLogger()


class WorkflowExportUtils:
    """torch-workflow-archiver's helpers, under their names."""

    @staticmethod
    def get_archive_export_path(export_file_path: str | Path, workflow_name: str) -> str:
        """Where the archive of that name goes."""
        return str(Path(export_file_path, f"{workflow_name}.war"))

    @staticmethod
    def check_war_already_exists(
        workflow_name: str,
        export_file_path: str | Path | None,
        overwrite: bool,  # noqa: FBT001 - torch-workflow-archiver's own signature
    ) -> str | Path:
        """The folder to write to, once the place in it is free or may be overwritten.

        Raises:
            WorkflowArchiverError: The place is taken.
        """
        folder = Path.cwd() if export_file_path is None else export_file_path
        path = WorkflowExportUtils.get_archive_export_path(folder, workflow_name)
        if Path(path).exists():
            if not overwrite:
                raise WorkflowArchiverError(
                    f"{path} already exists.\nPlease specify --force/-f option to overwrite the "
                    "workflow archive output file.\nSee -h/--help for more details."
                )
            _log.warning("Overwriting %s ...", path)
        return folder

    @staticmethod
    def generate_workflow(workflow_args: Namespace) -> Workflow:
        """The ``workflow`` object of the manifest."""
        return Workflow(
            workflow_name=workflow_args.workflow_name,
            spec_file=workflow_args.spec_file,
            handler=workflow_args.handler,
        )

    @staticmethod
    def generate_manifest_json(args: Namespace) -> str:
        """The text of ``MANIFEST.json``."""
        return str(Manifest(WorkflowExportUtils.generate_workflow(args)))

    @staticmethod
    def copy_artifacts(workflow_name: str, artifact_files: Sequence[str | None]) -> str:
        """Gather files in a new folder of their own, as links to where they are.

        Args:
            workflow_name: The name that the folder begins with.
            artifact_files: Paths, or comma lists of them.

        Returns:
            The folder, for the caller to remove.

        Raises:
            OSError: A file is missing.
        """
        folder = Path(tempfile.mkdtemp(prefix=f"{workflow_name}-"))
        try:
            for path in filter(None, artifact_files):
                for file in path.split(","):
                    gathering.link(gathering.readable(file), folder / Path(file).name)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return str(folder)

    @staticmethod
    def archive(
        export_file: str | Path, workflow_name: str, workflow_path: str | Path, manifest: str
    ) -> None:
        """Write the files of a folder as an archive, in place of one that is there.

        Args:
            export_file: The folder to write to.
            workflow_name: The archive's name.
            workflow_path: The folder whose files go in.
            manifest: The text of ``MANIFEST.json``.

        Raises:
            OSError: The archive cannot be written; the old one is still there.
        """
        target = Path(WorkflowExportUtils.get_archive_export_path(export_file, workflow_name))
        files = gathering.files_of(workflow_path, WorkflowExportUtils.directory_filter, _UNWANTED)
        # Beside its target, so that renaming it is one step: the old archive is there, or the new.
        handle, beside = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        try:
            with (
                os.fdopen(handle, "wb") as stream,
                zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as written,
            ):
                for name, path in sorted(files.items()):
                    written.write(path, name)
                written.writestr(MANIFEST, manifest)
            Path(beside).chmod(0o666 & ~_umask())
            Path(beside).replace(target)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise

    @staticmethod
    def directory_filter(directory: str, unwanted_dirs: Iterable[str]) -> bool:
        """Whether a folder of that name goes into archives."""
        return directory not in unwanted_dirs and not directory.startswith(".")

    @staticmethod
    def file_filter(current_file: str, files_to_exclude: set[str]) -> bool:
        """Whether a file of that name is a workflow's own; adds the manifest to the excluded."""
        files_to_exclude.add("MANIFEST.json")
        litter = (".pyc", ".DS_Store", ".war")
        return current_file not in files_to_exclude and not current_file.endswith(litter)

    @staticmethod
    def check_workflow_name_regex_or_exit(workflow_name: str) -> None:
        """Refuse names with other characters than letters, digits, ``_``, ``-`` and ``.``.

        Raises:
            WorkflowArchiverError: The name is not allowed.
        """
        if not re.match(_NAME, workflow_name):
            raise WorkflowArchiverError(
                "Workflow name contains special characters.\nThe allowed regular expression "
                f"filter for workflow name is: {_NAME}"
            )

    @staticmethod
    def validate_inputs(workflow_name: str, export_path: str | Path) -> None:
        """Check the name and the place.

        Raises:
            WorkflowArchiverError: The name is not allowed, or the place is no folder.
        """
        WorkflowExportUtils.check_workflow_name_regex_or_exit(workflow_name)
        if not Path(export_path).absolute().is_dir():
            raise WorkflowArchiverError(
                f"Given export-path {export_path} is not a directory. Point to a valid "
                "export-path directory."
            )

    @staticmethod
    def clean_temp_files(temp_files: Iterable[str]) -> None:
        """Remove files."""
        for file in temp_files:
            Path(file).unlink()

    @staticmethod
    def make_dir(d: str | Path) -> None:
        """Make a folder unless it is there."""
        Path(d).mkdir(parents=True, exist_ok=True)


def _umask() -> int:
    """The process's mask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
