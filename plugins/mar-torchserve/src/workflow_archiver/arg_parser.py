"""The command line of ``torch-workflow-archiver``."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["ArgParser"]


class ArgParser:
    """Reads the flags."""

    @staticmethod
    def workflow_archiver_args_parser() -> argparse.ArgumentParser:
        """The flags, in the order in which torch-workflow-archiver names missing ones."""
        parser = argparse.ArgumentParser(
            prog="torch-workflow-archiver",
            description="Package a workflow: which model or function feeds which.",
            formatter_class=argparse.RawTextHelpFormatter,
        )
        add = parser.add_argument
        add("--workflow-name", required=True, help="the archive's name, and the workflow's")
        add("--spec-file", required=True, help="the .yaml file with the models and the dag")
        add("--handler", help="the Python file with the functions that are nodes of the dag")
        add(
            "--export-path",
            default=str(Path.cwd()),
            help="the folder to write to (default: this one)",
        )
        add("-f", "--force", action="store_true", help="replace an archive that is there")
        add("--extra-files", help="a comma list of files that the functions need")
        return parser
