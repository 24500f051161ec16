"""Gathers the files of an archive in one folder, by torch-model-archiver's rules."""

from __future__ import annotations

import errno
import glob
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["files_of", "gather", "link", "readable"]

_LSP_NAMES = ("BaseHandler", "TorchScriptHandler")
_LIBRARY = {"linux": ".so", "darwin": ".dylib"}


def gather(
    folder: Path, runtime: str, files: Mapping[str, str | None], *, known: Collection[str]
) -> None:
    """Put links to files into a folder.

    Args:
        folder: The folder.
        runtime: What the handler is written in.
        files: Paths by ``handler``, ``extra_files`` and any other name; empty ones are left out.
        known: The handlers that have no file.

    Raises:
        OSError: A file is missing.
        ValueError: An extra file is neither a file nor a folder.
    """
    for kind, path in files.items():
        if kind == "extra_files" and path:
            for item in path.split(","):
                _gather_item(folder, item)
        elif path:
            source = _handler_file(path, runtime, known) if kind == "handler" else path
            if source is not None:
                link(readable(source), folder / Path(source).name)


def files_of(
    folder: str | Path, wanted: Callable[[str, Collection[str]], bool], unwanted: Collection[str]
) -> dict[str, Path]:
    """The files of a folder by their names in the archive; folders that are not wanted stay out."""
    found = {}
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if wanted(name, unwanted)]
        for name in files:
            path = Path(here, name)
            found[path.relative_to(folder).as_posix()] = path
    return found


def _handler_file(handler: str, runtime: str, known: Collection[str]) -> str | None:
    if runtime == "LSP":
        ending = _LIBRARY.get(sys.platform, "")
        return None if handler in _LSP_NAMES else handler.partition(":")[0] + ending
    if handler in known:
        return None
    # As it is wherever it holds ".py", with what stands behind a colon too.
    return handler if ".py" in handler else handler.partition(":")[0] + ".py"


def _gather_item(folder: Path, item: str) -> None:
    """One entry of ``--extra-files``: spaces count where its existence is asked, not afterwards."""
    pattern = "*" in item or "?" in item or ("[" in item and "]" in item)
    if not pattern and not Path(item).exists():
        raise FileNotFoundError(f"File does not exist: {item}")
    found = [Path(match) for match in glob.glob(item.strip())]  # noqa: PTH207 - its very rules
    if pattern and not found:
        logging.getLogger().warning("Given wildcard pattern did not match any file: %s", item)
    for path in found:
        if path.is_file():
            link(path, folder / path.name)
        elif path.is_dir():
            _gather_folder(folder, path)
        else:
            raise ValueError(f"Invalid extra file given {path}")


def _gather_folder(folder: Path, source: Path) -> None:
    """The contents of a folder, without the folder."""
    for path in source.iterdir():
        if path.is_file():
            link(path, folder / path.name)
        elif path.is_dir():
            shutil.copytree(path, folder / path.name, copy_function=link)


def readable(path: str) -> Path:
    """The path of a file that can be opened.

    Raises:
        OSError: It is missing or a folder, in the words of the system.
    """
    with open(path, "rb"):  # noqa: PTH123 - Path would tidy the path in the system's words
        return Path(path)


def link(source: str | Path, target: str | Path) -> None:
    """A link in place of a copy; whatever had the name gives way."""
    Path(target).unlink(missing_ok=True)
    try:
        Path(target).symlink_to(Path(source).absolute())
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}:
            raise
        shutil.copyfile(source, target)  # a file system without links
