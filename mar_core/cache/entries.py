"""The cache of unpacked archives: each archive is unpacked once, verified while it is copied.

An entry is named by content, so an archive that changes becomes another entry, and a copy of an
archive finds the one that is there. Entries are made in a private folder and renamed into place:
other processes see a whole entry or none. An entry that some process has in use is never removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.cache import entry as cache_entry
from mar_core.cache.entry import FILES, NEW, NOTE, CacheEntry
from mar_core.cache.place import (
    UnusableError,
    bound,
    memory_place,
    place,
    prepared_memory,
    prepared_place,
)
from mar_core.cache.unpack import check_room, failure, no_room, unpack
from mar_core.cache.verified import forget
from mar_core.errors import ManifestError
from mar_core.format import locks
from mar_core.format.file import CHUNK
from mar_core.format.manifest import MANIFEST_NAME
from mar_core.format.packed import PackedArchive, listed_digests

if TYPE_CHECKING:
    from mar_core.format.view import Archive, Member

__all__ = ["clear", "entries", "unpacked"]

MAX_ENTRIES = 256
# So little is kept in memory where the disk takes nothing, in one entry and in all.
FEW_BYTES = 16 << 20
FEW_BYTES_TOGETHER = 256 << 20
LOCK = ".lock"
# When an entry was last used is known to within this, so that most runs write nothing at all.
SAME_USE_SECONDS = 3600

# Entries that this process uses, by folder; the descriptors keep others from removing them.
_held: dict[Path, int] = {}


def unpacked(archive: Archive, *, without: str | None = None) -> Path:
    """A folder with the members of an archive, each as it is in the archive.

    A folder archive is its own. Sources that are not packed become a folder of links to them.
    Anything else is unpacked into the cache, unless it is there already.

    Args:
        archive: The open archive.
        without: A member that need not be there: it is read where it lies in the archive. Asked for
            later, it comes into the same folder.

    Returns:
        The folder. It stays at least until this process ends.

    Raises:
        ValidationError: A member is damaged.
        ArchiveError: The cache cannot be written, or the disk is full.
    """
    if archive.kind == "folder" and archive.path is not None:
        return archive.path.absolute()
    key = _key(archive)
    try:
        return _unpacked(archive, prepared_place() / key, without)
    except UnusableError:
        members = archive.members.values()
        if sum(one.size for one in members if one.name != without) > FEW_BYTES:
            raise
        with contextlib.suppress(UnusableError):
            return _unpacked(archive, prepared_memory() / key, without)
        raise


def _unpacked(archive: Archive, wanted: Path, without: str | None) -> Path:
    for number in itertools.count():
        folder = wanted.with_name(f"{wanted.name}.{number}") if number else wanted
        if _is_whole(archive, folder, without) or _added(archive, folder, without):
            return folder / FILES
    raise AssertionError  # count has no end


def _is_whole(archive: Archive, folder: Path, without: str | None) -> bool:
    """Whether the entry is in use from now on, with all that is wanted of it."""
    return _usable(folder) and not _absent(archive, folder, without)


def _absent(archive: Archive, folder: Path, without: str | None) -> list[Member]:
    """The wanted members that an entry does not have yet."""
    there = cache_entry.member_names(folder)
    members = archive.members.values()
    return [one for one in members if one.name != without and one.name not in there]


def _added(archive: Archive, folder: Path, without: str | None) -> bool:
    """Whether the entry is there now; not where a damaged one stands that somebody still uses."""
    lock_file = folder.with_name(f"{folder.name}{LOCK}")
    try:
        while (lock := locks.wait_exclusive(lock_file)) is None:
            pass
    except OSError as error:
        raise UnusableError(
            f"The cache folder {folder.parent} cannot be written to: {error.strerror}.",
            hint="Name another one with MAR_CACHE_DIR.",
        ) from error
    try:
        _clear_leftovers(folder.parent)
        if _usable(folder):
            _complete(archive, folder, _absent(archive, folder, without))
            added = True
        else:
            wanted = [one for one in archive.members.values() if one.name != without]
            added = not locks.is_held(folder) and _add(archive, folder, wanted)
    finally:
        lock_file.unlink(missing_ok=True)
        os.close(lock)
    _prune(folder.parent)
    return added


def entries() -> list[CacheEntry]:
    """What is in the cache, the longest unused first."""
    found = cache_entry.entries(place()) + cache_entry.entries(memory_place())
    return sorted(found, key=lambda one: one.last_used)


def clear(*, older_than: float = 0) -> list[CacheEntry]:
    """Remove the entries that nobody uses, and what killed processes left behind.

    Args:
        older_than: Keep what was used in the last so many seconds.

    Returns:
        The entries that were removed.
    """
    for folder in (place(), memory_place()):
        _clear_leftovers(folder)
    if not older_than:
        forget(place().parent)
    limit = time.time() - older_than
    old = [entry for entry in entries() if entry.last_used <= limit]
    return [entry for entry in old if cache_entry.remove(entry.path)]


def _key(archive: Archive) -> str:
    """What the archive's entry is called: a digest of all that will be unpacked."""
    if isinstance(archive, PackedArchive):
        if _lists_all_members(archive):
            return f"mar-{_digest(archive.read(MANIFEST_NAME))}"
        return f"file-{_file_digest(archive)}"
    layout = [(name, _origin(archive, member)) for name, member in archive.members.items()]
    return f"sources-{_digest(json.dumps(layout).encode())}"


def _origin(archive: Archive, member: Member) -> str:
    if member.source is not None:
        return str(member.source.absolute())
    return _digest(archive.read(member.name))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _lists_all_members(archive: PackedArchive) -> bool:
    """Whether the manifest has the SHA-256 of every other member, so that its own names all."""
    listed = listed_digests(archive).keys()
    return bool(listed) and listed == archive.members.keys() - {MANIFEST_NAME}


def _file_digest(archive: PackedArchive) -> str:
    digest, position = hashlib.sha256(), 0
    while chunk := archive.file.read_at(position, CHUNK):
        digest.update(chunk)
        position += len(chunk)
    return digest.hexdigest()


def _usable(folder: Path) -> bool:
    """Whether the entry is there and unchanged; if so, it is in use from now on."""
    descriptor = locks.hold(folder)
    if descriptor is None:
        return False
    sound = cache_entry.is_sound(folder)
    if not sound or cache_entry.strangers(folder):
        os.close(descriptor)
        return sound and cache_entry.clean(folder) and _usable(folder)
    _note_use(folder / NOTE)
    previous = _held.pop(folder, None)
    if previous is not None:
        os.close(previous)
    _held[folder] = descriptor
    return True


def _note_use(note: Path) -> None:
    if time.time() - note.stat().st_mtime > SAME_USE_SECONDS:
        with contextlib.suppress(OSError):  # a cache that came with an image is read-only
            os.utime(note)


def _complete(archive: Archive, folder: Path, absent: list[Member]) -> None:
    """Give an entry that is in use the members that nobody had asked for.

    Who looks meanwhile sees an entry that is not as noted, and waits for the lock.
    """
    if not absent:
        return
    _make_room(folder.parent, absent)
    new, busy = _new_folder(folder.parent)
    try:
        unpack(archive, absent, new)
        for member in absent:
            target = folder / FILES / member.name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.replace(new / member.name, target)  # noqa: PTH105 - over what a stranger put there
        cache_entry.note_more(folder, [member.name for member in absent])
    finally:
        shutil.rmtree(new, ignore_errors=True)
        os.close(busy)


def _make_room(place: Path, members: list[Member]) -> None:
    needed = sum(member.size for member in members if member.source is None)
    if not check_room(place, needed):
        _prune(place, room_for=needed)
        if not check_room(place, needed):
            raise no_room(place, needed)


def _add(archive: Archive, folder: Path, members: list[Member]) -> bool:
    _make_room(folder.parent, members)
    new, busy = _new_folder(folder.parent)
    try:
        (new / FILES).mkdir(mode=0o700)
        unpack(archive, members, new / FILES)
        cache_entry.write_note(new, name=_name(archive), source=str(archive))
        _replace(new, folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    finally:
        os.close(busy)
    return _usable(folder)


def _new_folder(place: Path) -> tuple[Path, int]:
    """A folder to unpack to, and the descriptor that says that it is no leftover."""
    while True:
        try:
            new = Path(tempfile.mkdtemp(prefix=NEW, dir=place))
        except OSError as error:
            raise failure(place, error) from error
        busy = locks.hold(new)
        if busy is not None:
            return new, busy


def _replace(new: Path, folder: Path) -> None:
    """Put a new entry in its place; a damaged one that stands there goes aside."""
    if folder.exists():
        aside = Path(tempfile.mkdtemp(prefix=cache_entry.OLD, dir=folder.parent))
        os.replace(folder, aside / FILES)  # noqa: PTH105 - a folder, not a file
        shutil.rmtree(aside, ignore_errors=True)
    new.rename(folder)


def _name(archive: Archive) -> str:
    with contextlib.suppress(ManifestError):
        return archive.manifest.model_name or ""
    return ""


def _clear_leftovers(folder: Path) -> None:
    """Remove what processes that were killed left behind."""
    for path in cache_entry.leftovers(folder):
        cache_entry.remove(path)
    for path in folder.glob(f"*{LOCK}"):
        locks.clear_away(path, os.unlink)


def _prune(folder: Path, *, room_for: int = 0) -> None:
    """Remove the longest unused entries until the cache is within its bounds."""
    found = cache_entry.entries(folder)
    total, count, allowed = sum(entry.size for entry in found), len(found), bound()
    if folder == memory_place():
        allowed = min(allowed, FEW_BYTES_TOGETHER)
    for entry in found:
        enough = not room_for or check_room(folder, room_for)
        if total <= allowed and count <= MAX_ENTRIES and enough:
            return
        if cache_entry.remove(entry.path):
            total, count = total - entry.size, count - 1
