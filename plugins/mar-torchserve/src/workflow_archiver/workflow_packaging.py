"""The command ``torch-workflow-archiver``, and the function behind it."""

from __future__ import annotations

import logging
import shutil
import sys
from typing import TYPE_CHECKING

from workflow_archiver.arg_parser import ArgParser
from workflow_archiver.workflow_archiver_error import WorkflowArchiverError
from workflow_archiver.workflow_packaging_utils import WorkflowExportUtils

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["generate_workflow_archive", "package_workflow"]


def generate_workflow_archive() -> None:
    """Write the archive that the command line asks for."""
    logging.basicConfig(format="%(levelname)s - %(message)s")
    arguments = ArgParser.workflow_archiver_args_parser().parse_args()
    package_workflow(arguments, WorkflowExportUtils.generate_manifest_json(arguments))


def package_workflow(args: Namespace, manifest: str) -> None:
    """Write an archive with a manifest that is given.

    A name or place that is not allowed is told in one line, and ends the process with exit code 1.

    Args:
        args: ``workflow_name``, ``spec_file``, ``handler``, ``export_path``, ``extra_files`` and
            ``force``.
        manifest: The text of ``MANIFEST.json``.

    Raises:
        OSError: A file is missing, or the archive cannot be written.
    """
    name = args.workflow_name
    try:
        WorkflowExportUtils.validate_inputs(name, args.export_path)
        folder = WorkflowExportUtils.check_war_already_exists(name, args.export_path, args.force)
    except WorkflowArchiverError as error:
        logging.getLogger().error(error)  # noqa: TRY400 - a sentence, for who typed the command
        sys.exit(1)
    gathered = WorkflowExportUtils.copy_artifacts(
        name, [args.spec_file, args.handler, args.extra_files]
    )
    try:
        WorkflowExportUtils.archive(folder, name, gathered, manifest)
    finally:
        shutil.rmtree(gathered)


if __name__ == "__main__":
    generate_workflow_archive()
