"""The steps of making a workflow archive, one by one."""

# Test suites written for torch-workflow-archiver replace these very functions of `os`.
# ruff: noqa: PTH109, PTH118

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from model_archiver import gathering
from model_archiver.export_utils import ExportUtils

from workflow_archiver.manifest_components.manifest import Manifest
from workflow_archiver.manifest_components.workflow import Workflow
from workflow_archiver.workflow_archiver_error import WorkflowArchiverError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

__all__ = ["WorkflowExportUtils"]

MANIFEST = "WAR-INF/MANIFEST.json"


class WorkflowExportUtils(ExportUtils):
    """torch-workflow-archiver's helpers, under their names."""

    KIND = "workflow"
    ENDING = ".war"
    ERROR = WorkflowArchiverError

    @staticmethod
    def get_archive_export_path(export_file_path: str | Path, workflow_name: str) -> str:
        """Where the archive of that name goes."""
        return os.path.join(export_file_path, f"{workflow_name}.war")

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
        folder = os.getcwd() if export_file_path is None else export_file_path
        path = WorkflowExportUtils.get_archive_export_path(folder, workflow_name)
        WorkflowExportUtils._check_free(path, overwrite=overwrite)
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
        with WorkflowExportUtils._new_folder(workflow_name) as folder:
            for path in filter(None, artifact_files):
                for file in path.split(","):
                    gathering.link(gathering.readable(file), folder / Path(file).name)
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
        files = WorkflowExportUtils._files_of(workflow_path)
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
    def check_workflow_name_regex_or_exit(workflow_name: str) -> None:
        """Refuse names with other characters than letters, digits, ``_``, ``-`` and ``.``.

        Raises:
            WorkflowArchiverError: The name is not allowed.
        """
        WorkflowExportUtils._check_name(workflow_name)

    @staticmethod
    def validate_inputs(workflow_name: str, export_path: str | Path) -> None:
        """Check the name and the place.

        Raises:
            WorkflowArchiverError: The name is not allowed, or the place is no folder.
        """
        WorkflowExportUtils.check_workflow_name_regex_or_exit(workflow_name)
        WorkflowExportUtils._check_folder(export_path)


def _umask() -> int:
    """The process's mask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
