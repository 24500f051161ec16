"""Reads a ``.war``: a zip with a specification, a file of functions, and what they need."""

from __future__ import annotations

import json
import re
import shutil
import stat
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mar_core import ArchiveError
from mar_torchserve.workflows.specification import Specification, read_specification

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WorkflowArchive", "unpacked"]

MANIFEST = "WAR-INF/MANIFEST.json"
MOST_FILES = 1_000
MOST_BYTES = 256 << 20
TEXT_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-.]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowArchive:
    """An unpacked workflow.

    Attributes:
        name: Its name.
        folder: Where its files are; the owner removes it.
        handler: The file with its functions, relative to the folder; None where there is none.
        files: Its other files, relative to the folder.
        specification: What feeds what.
    """

    name: str
    folder: Path
    handler: str | None
    files: tuple[str, ...]
    specification: Specification


def unpacked(path: Path, *, name: str | None = None) -> WorkflowArchive:
    """Unpack a workflow into a folder of its own.

    Names, sizes and kinds of members are looked at before anything is written: this is code that
    somebody sent, and the folder is all that it may touch before it runs.

    Args:
        path: The ``.war``.
        name: What to call it; None takes its own name.

    Returns:
        It, in a new temporary folder.

    Raises:
        ArchiveError: It is not a sound workflow archive.
    """
    folder = Path(tempfile.mkdtemp(prefix="mar-workflow-"))
    try:
        with zipfile.ZipFile(path) as archive:
            members = list(_members(archive, path))
            manifest = _manifest(archive, path)
            for member in members:
                _unpack(archive, member, folder)
        return _described(folder, manifest, members, path, name)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ArchiveError(f"{path.name} cannot be read as a workflow archive: {error}.") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _members(archive: zipfile.ZipFile, path: Path) -> Iterator[zipfile.ZipInfo]:
    found = archive.infolist()
    if len(found) > MOST_FILES or sum(one.file_size for one in found) > MOST_BYTES:
        raise ArchiveError(
            f"{path.name} is larger than a workflow can be: {MOST_FILES} files, "
            f"{MOST_BYTES >> 20} MiB."
        )
    names: set[str] = set()
    for one in found:
        if one.is_dir() or one.filename == MANIFEST:
            continue
        parts = PurePosixPath(one.filename).parts
        kind = stat.S_IFMT(one.external_attr >> 16)
        odd = "\\" in one.filename or one.filename.startswith("/") or not one.filename.isprintable()
        if odd or ".." in parts or kind not in {0, stat.S_IFREG}:
            raise ArchiveError(f"{path.name}: {one.filename!r} is no plain file in the archive.")
        if one.filename.casefold() in names:
            raise ArchiveError(f"{path.name}: {one.filename!r} is there twice.")
        names.add(one.filename.casefold())
        yield one


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / member.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    # zipfile holds a member to the size and the checksum that its directory gives.
    with archive.open(member) as source, target.open("xb") as stream:
        shutil.copyfileobj(source, stream)


def _manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    try:
        with archive.open(MANIFEST) as stream:
            document = json.loads(stream.read(TEXT_BYTES))
        workflow = document["workflow"]
    except KeyError:
        raise ArchiveError(f"{path.name} has no {MANIFEST} with a `workflow`.") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise ArchiveError(f"{path.name}: {MANIFEST} is not a JSON object.") from error
    if not isinstance(workflow, dict):
        raise ArchiveError(f"{path.name}: `workflow` in {MANIFEST} must be an object.")
    return workflow


def _described(
    folder: Path, manifest: dict[str, Any], members: list[zipfile.ZipInfo], path: Path,
    name: str | None,
) -> WorkflowArchive:  # fmt: skip
    names = {member.filename for member in members}
    called = name or manifest.get("workflowName")
    if not isinstance(called, str) or not _NAME.fullmatch(called):
        raise ArchiveError(f"{path.name}: {called!r} cannot be a workflow's name.")
    specification, handler = manifest.get("specFile"), manifest.get("handler") or None
    for key, file in {"specFile": specification, "handler": handler}.items():
        if file not in names and not (key == "handler" and file is None):
            raise ArchiveError(f"{path.name}: {key} is {file!r}, which is not in the archive.")
    text = (folder / str(specification)).read_bytes()[:TEXT_BYTES].decode("utf-8", "replace")
    return WorkflowArchive(
        name=called,
        folder=folder,
        handler=handler,
        files=tuple(sorted(names - {specification, handler})),
        specification=read_specification(
            text, file=str(specification), has_functions=handler is not None
        ),
    )
