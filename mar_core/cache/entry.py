"""One entry of the cache: a folder of unpacked members and a note of what they must look like."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.format import locks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "CacheEntry", "changed_files", "clean", "entries_in", "is_noted", "is_sound", "is_whole",
    "leftovers", "member_names", "note_more", "read_note", "remove", "strangers", "write_note",
]  # fmt: skip

NOTE, FILES = "entry.json", "model"
# What the name of an environment's folder begins with.
ENVIRONMENT = "env-"
NEW, OLD = ".new-", ".old-"
COMPILED = "compiled-"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """What one entry is.

    Attributes:
        path: Its folder; the members are in ``model`` below it.
        name: The model's name; of an environment, of the first model that it was made for.
        source: The archive that it was made from, by its path then.
        members: How many files there are.
        size: Their bytes together.
        last_used: Seconds since the epoch.
    """

    path: Path
    name: str
    source: str
    members: int
    size: int
    last_used: float

    @property
    def kind(self) -> str:
        """``archive``, ``environment`` or ``compiled model``."""
        if self.compiled:
            return "compiled model"
        return "environment" if self.path.name.startswith(ENVIRONMENT) else "archive"

    @property
    def digest(self) -> str:
        """The digest that the entry is kept under."""
        return self.path.name.rpartition("-")[2]

    @property
    def compiled(self) -> bool:
        """Whether it holds what was compiled for a model, and not the archive's members."""
        return self.path.name.startswith(COMPILED)

    @property
    def in_use(self) -> bool:
        """Whether some process has it loaded."""
        return locks.is_held(self.path)

    def to_dict(self) -> dict[str, Any]:
        """The entry as plain JSON values; ``last_used`` in seconds since the epoch."""
        return {
            **asdict(self),
            "path": str(self.path),
            "kind": self.kind,
            "digest": self.digest,
            "compiled": self.compiled,
            "in_use": self.in_use,
        }


def entries_in(place: Path) -> list[CacheEntry]:
    """The entries, the longest unused first."""
    found = (_entry(path) for path in _folders(place) if not path.name.startswith("."))
    return sorted((one for one in found if one is not None), key=lambda one: one.last_used)


def leftovers(place: Path) -> list[Path]:
    """What processes that were killed left behind, and entries without a readable note."""
    return [
        path
        for path in _folders(place)
        if path.name.startswith((NEW, OLD)) or (_entry(path) is None and path.name[0] != ".")
    ]


def write_note(
    folder: Path, *, name: str, source: str, paths: Iterable[Path] | None = None
) -> None:
    """Note what a folder holds, so that a later use can tell whether it still is.

    Args:
        folder: The entry's.
        name: The model's name.
        source: What it was made of.
        paths: Its members; by default every file that is there.
    """
    files = folder / FILES
    members = _all_files(files) if paths is None else paths
    look = {path.relative_to(files).as_posix(): _look(path) for path in members}
    size = sum(one[0] for one in look.values() if isinstance(one[0], int))
    note = {"name": name, "source": source, "size": size, "members": look}
    partial = folder / f"{NOTE}.new"
    partial.write_text(json.dumps(note), encoding="utf-8")
    partial.replace(folder / NOTE)


def is_noted(folder: Path) -> bool:
    """Whether a folder is an entry, with a note that can be read."""
    return _entry(folder) is not None


def note_more(folder: Path, names: Iterable[str]) -> None:
    """Note members that came into an entry later; what else has come there stays a stranger."""
    note = read_note(folder)
    paths = [folder / FILES / name for name in {*note["members"], *names}]
    write_note(folder, name=note["name"], source=note["source"], paths=paths)


def member_names(folder: Path) -> frozenset[str]:
    """The members that an entry has."""
    return frozenset(_noted(folder) or ())


def is_sound(folder: Path) -> bool:
    """Whether every file of an entry still is as noted: there, unchanged, not a stranger's."""
    members = _noted(folder)
    try:
        return members is not None and all(
            _look(folder / FILES / name) == look for name, look in members.items()
        )
    except OSError:
        return False


def is_whole(folder: Path) -> bool:
    """Whether an entry is sound, and holds nothing else."""
    return is_sound(folder) and not strangers(folder)


def changed_files(folder: Path) -> list[Path]:
    """The files of an entry that are not as noted, as far as they are there."""
    files = folder / FILES
    found = []
    for name, look in (_noted(folder) or {}).items():
        with contextlib.suppress(OSError):
            if _look(files / name) != look:
                found.append(files / name)
    return found


def strangers(folder: Path) -> list[Path]:
    """Files, links and folders that an entry holds and its archive does not.

    What code in the entry has left there is among them, Python's ``__pycache__`` too: it would run
    in place of the source that was checked.
    """
    files, members = folder / FILES, _noted(folder) or {}
    known = {files.joinpath(name) for name in members}
    parents = {parent for path in known for parent in path.parents}
    found = []
    for place, folders, names in os.walk(files):
        others = [name for name in folders if Path(place, name) not in parents]
        found += [Path(place, name) for name in others]
        folders[:] = sorted(set(folders) - set(others))
        found += [Path(place, name) for name in names if Path(place, name) not in known]
    return found


def clean(folder: Path) -> bool:
    """Remove the strangers from an entry that nobody uses; returns whether there are none now."""
    found = strangers(folder)
    descriptor = locks.try_exclusive(folder) if found else None
    if descriptor is None:
        return not found
    try:
        for path in found:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def remove(folder: Path) -> bool:
    """Take a folder out of the cache unless it is in use; readers see all of it or nothing."""
    descriptor = locks.try_exclusive(folder)
    if descriptor is None:
        return False
    try:
        grave = Path(tempfile.mkdtemp(prefix=OLD, dir=folder.parent))
        os.replace(folder, grave / folder.name)  # noqa: PTH105 - a folder, not a file
        shutil.rmtree(grave, ignore_errors=True)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _folders(place: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [path for path in place.iterdir() if path.is_dir() and not path.is_symlink()]
    return []


def _entry(path: Path) -> CacheEntry | None:
    note = read_note(path)
    try:
        return CacheEntry(
            path=path,
            name=str(note["name"]),
            source=str(note["source"]),
            members=int(note.get("files", len(note["members"]))),
            size=int(note["size"]),
            last_used=(path / NOTE).stat().st_mtime,
        )
    except (OSError, KeyError, TypeError, ValueError):
        return None


def read_note(folder: Path) -> dict[str, Any]:
    """What is noted of an entry; empty where nothing can be read."""
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _noted(folder: Path) -> dict[str, Any] | None:
    members = read_note(folder).get("members")
    return members if isinstance(members, dict) else None


def _all_files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def _look(path: Path) -> list[int | str]:
    """Size and times of a file, or where a link points; nobody can set the second time."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return ["link", os.fspath(path.readlink())]
    owner = status.st_uid == os.geteuid() if hasattr(os, "geteuid") else True
    if not stat.S_ISREG(status.st_mode) or not owner:
        return ["strange"]
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
