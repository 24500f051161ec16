"""What the helpers for archives of models and of workflows have in common."""

# Test suites written for TorchServe's archivers replace these very functions of `os`.
# ruff: noqa: PTH100, PTH103, PTH107, PTH110, PTH112

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from model_archiver import gathering

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["ExportUtils"]

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_\-.]*$"
_UNWANTED = {"__MACOSX", "__pycache__"}


class ExportUtils:
    """The helpers that both have, under their names, and what the others of both do.

    Attributes:
        KIND: What is archived, as messages name it.
        ENDING: That of the archives, which hold no others.
        ERROR: What is raised where a name or a place is not as it must be.
    """

    KIND: ClassVar[str]
    ENDING: ClassVar[str]
    ERROR: ClassVar[type[Exception]]

    @staticmethod
    def clean_temp_files(temp_files: Iterable[str]) -> None:
        """Remove files."""
        for file in temp_files:
            os.remove(file)

    @staticmethod
    def make_dir(d: str | Path) -> None:
        """Make a folder unless it is there."""
        if not os.path.isdir(d):
            os.makedirs(d)

    @staticmethod
    def directory_filter(directory: str, unwanted_dirs: Iterable[str]) -> bool:
        """Whether a folder of that name goes into archives."""
        return directory not in unwanted_dirs and not directory.startswith(".")

    @classmethod
    def file_filter(cls, current_file: str, files_to_exclude: set[str]) -> bool:
        """Whether a file of that name belongs in; adds the manifest to what is excluded."""
        files_to_exclude.add("MANIFEST.json")
        litter = (".pyc", ".DS_Store", cls.ENDING)
        return current_file not in files_to_exclude and not current_file.endswith(litter)

    @classmethod
    def _check_name(cls, name: str) -> None:
        if not re.match(_NAME, name):
            raise cls.ERROR(
                f"{cls.KIND.capitalize()} name contains special characters.\nThe allowed regular "
                f"expression filter for {cls.KIND} name is: {_NAME}"
            )

    @classmethod
    def _check_folder(cls, export_path: str | Path) -> None:
        if not os.path.isdir(os.path.abspath(export_path)):
            raise cls.ERROR(
                f"Given export-path {export_path} is not a directory. Point to a valid "
                "export-path directory."
            )

    @classmethod
    def _check_free(cls, path: str, *, overwrite: bool) -> None:
        """Refuse a place that is taken, or say that what is there will be overwritten."""
        if os.path.exists(path):
            if not overwrite:
                raise cls.ERROR(
                    f"{path} already exists.\nPlease specify --force/-f option to overwrite the "
                    f"{cls.KIND} archive output file.\nSee -h/--help for more details."
                )
            logging.getLogger().warning("Overwriting %s ...", path)

    @staticmethod
    @contextmanager
    def _new_folder(name: str) -> Iterator[Path]:
        """A new folder of that name and more, which stays unless filling it fails."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    @classmethod
    def _files_of(cls, folder: str | Path) -> dict[str, Path]:
        """The files of a folder that go into its archive, by their names there."""
        return gathering.files_of(folder, cls.directory_filter, _UNWANTED)
