"""The cache of unpacked archives: each archive is unpacked once, verified while it is copied.

Environments are kept in the same way (``mar_core.cache.environments``).

An entry is named by content, so an archive that changes becomes another entry, and a copy of an
archive finds the one that is there. Entries are made in a private folder and renamed into place:
other processes see a whole entry or none. An entry that some process has in use is never removed.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import itertools
import json
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mar_core.cache import entry as cache_entry
from mar_core.cache.entry import FILES, NEW, NOTE, CacheEntry
from mar_core.cache.location import (
    UnusableError,
    bound,
    cache_folder,
    memory_place,
    prepared_memory,
    prepared_place,
)
from mar_core.cache.verified import forget
from mar_core.errors import ManifestError
from mar_core.format import locks
from mar_core.format.atomic import NO_ROOM
from mar_core.format.file import CHUNK
from mar_core.format.manifest import MANIFEST_NAME
from mar_core.format.view import PackedArchive, listed_digests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mar_core.errors import ArchiveError
    from mar_core.format.view import Archive, Member

__all__ = [
    "check_room", "clear", "entries", "failure", "have_entry", "is_being_made", "no_room",
    "scratch", "unpack", "unpacked",
]  # fmt: skip

MAX_ENTRIES = 256
# So little is kept in memory where the disk takes nothing, in one entry and in all.
FEW_BYTES = 16 << 20
FEW_BYTES_TOGETHER = 256 << 20
LOCK = ".lock"
# When an entry was last used is known to within this, so that most runs write nothing at all.
SAME_USE_SECONDS = 3600

_WORTH_A_THREAD = 8 << 20
_ROOM_LEFT = 64 << 20
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)

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
    key, members = _key(archive), [m for m in archive.members.values() if m.name != without]
    try:
        return _unpacked(archive, members, prepared_place() / key)
    except UnusableError:
        if sum(member.size for member in members) > FEW_BYTES:
            raise
        with contextlib.suppress(UnusableError):
            return _unpacked(archive, members, prepared_memory() / key)
        raise


def _unpacked(archive: Archive, members: list[Member], wanted: Path) -> Path:
    for number in itertools.count():
        folder = wanted.with_name(f"{wanted.name}.{number}") if number else wanted
        if have_entry(
            folder,
            fill=lambda new: _fill(archive, members, new),
            usable=cache_entry.is_whole,
            mend=_mend,
        ) and _complete(archive, members, folder):
            return folder / FILES
    raise AssertionError  # count has no end


def _complete(archive: Archive, members: list[Member], folder: Path) -> bool:
    """Give an entry that is in use the members that nobody had asked for; whether it is whole.

    Who looks meanwhile sees an entry that is not as noted, and waits for the lock.
    """
    if not _absent(members, folder):
        return True
    with _locked(folder):
        absent = _absent(members, folder)
        if not absent or not cache_entry.is_whole(folder):
            return not absent
        new, busy = _new_folder(folder.parent)
        try:
            _make_room(folder.parent, absent)
            unpack(archive, absent, new)
            for member in absent:
                target = folder / FILES / member.name
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                (new / member.name).rename(target)
            cache_entry.note_more(folder, [member.name for member in absent])
        finally:
            shutil.rmtree(new, ignore_errors=True)
            os.close(busy)
    _prune(folder.parent)
    return True


def _absent(members: list[Member], folder: Path) -> list[Member]:
    """The members that an entry does not have."""
    there = cache_entry.member_names(folder)
    return [member for member in members if member.name not in there]


def have_entry(
    folder: Path,
    *,
    fill: Callable[[Path], None],
    usable: Callable[[Path], bool],
    mend: Callable[[Path], bool] = lambda _: False,
) -> bool:
    """Have an entry: the one that is there, or a new one.

    From then on it is in use until this process ends. Of two who want it, one makes it.

    Args:
        folder: Its folder.
        fill: Makes it, in another folder, which is then renamed.
        usable: Whether what is there is what it must be.
        mend: Makes it that; whether it could.

    Returns:
        Whether it is there; not where a damaged one stands that somebody still uses.
    """

    def found() -> bool:
        return _held_now(folder, usable) or (
            folder.exists() and mend(folder) and _held_now(folder, usable)
        )

    return found() or _added(folder, fill, found)


def is_being_made(folder: Path) -> bool:
    """Whether some process is making an entry at this moment."""
    lock_file = folder.with_name(f"{folder.name}{LOCK}")
    return lock_file.exists() and locks.is_held(lock_file)


def scratch() -> Path:
    """A folder in the cache that goes when this process ends, however it ends."""
    folder, busy = _new_folder(prepared_place())
    _held[folder] = busy
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # what was forked from here has not made it
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _added(folder: Path, fill: Callable[[Path], None], found: Callable[[], bool]) -> bool:
    """Whether the entry is there now; not where a damaged one stands that somebody still uses."""
    with _locked(folder):
        _clear_leftovers(folder.parent)
        if not found() and not locks.is_held(folder):
            _add(folder, fill)
        added = found()
    _prune(folder.parent)
    return added


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Be the only one who makes an entry, or adds to it."""
    lock_file = folder.with_name(f"{folder.name}{LOCK}")
    try:
        while (lock := locks.wait_exclusive(lock_file)) is None:
            pass
    except OSError as error:
        raise failure(folder.parent, error) from error
    try:
        yield
    finally:
        lock_file.unlink(missing_ok=True)
        os.close(lock)


def entries() -> list[CacheEntry]:
    """What is in the cache, the longest unused first."""
    found = cache_entry.entries_in(cache_folder()) + cache_entry.entries_in(memory_place())
    return sorted(found, key=lambda one: one.last_used)


def clear(*, older_than: float = 0) -> list[CacheEntry]:
    """Remove the entries that nobody uses, and what killed processes left behind.

    Args:
        older_than: Keep what was used in the last so many seconds.

    Returns:
        The entries that were removed.
    """
    for folder in (cache_folder(), memory_place()):
        _clear_leftovers(folder)
    if not older_than:
        forget(cache_folder().parent)
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


def _held_now(folder: Path, usable: Callable[[Path], bool]) -> bool:
    """Whether the entry is there and unchanged; if so, it is in use from now on."""
    descriptor = locks.hold(folder)
    if descriptor is None:
        return False
    if not usable(folder):
        os.close(descriptor)
        return False
    _note_use(folder / NOTE)
    previous = _held.pop(folder, None)
    if previous is not None:
        os.close(previous)
    _held[folder] = descriptor
    return True


def _mend(folder: Path) -> bool:
    """Take strangers out of an entry, which needs it for oneself."""
    return cache_entry.is_sound(folder) and cache_entry.clean(folder)


def _note_use(note: Path) -> None:
    if time.time() - note.stat().st_mtime > SAME_USE_SECONDS:
        with contextlib.suppress(OSError):  # a cache that came with an image is read-only
            os.utime(note)


def _add(folder: Path, fill: Callable[[Path], None]) -> None:
    new, busy = _new_folder(folder.parent)
    try:
        fill(new)
        _replace(new, folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    finally:
        os.close(busy)


def _fill(archive: Archive, members: list[Member], new: Path) -> None:
    _make_room(new.parent, members)
    (new / FILES).mkdir(mode=0o700)
    unpack(archive, members, new / FILES)
    cache_entry.write_note(new, name=_name(archive), source=archive.origin)


def _make_room(folder: Path, members: list[Member]) -> None:
    needed = sum(member.size for member in members if member.source is None)
    if not check_room(folder, needed):
        _prune(folder, room_for=needed)
        if not check_room(folder, needed):
            raise no_room(folder, needed)


def _new_folder(folder: Path) -> tuple[Path, int]:
    """A folder to unpack to, and the descriptor that says that it is no leftover."""
    while True:
        try:
            new = Path(tempfile.mkdtemp(prefix=NEW, dir=folder))
        except OSError as error:
            raise failure(folder, error) from error
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
    found = cache_entry.entries_in(folder)
    total, count, allowed = sum(entry.size for entry in found), len(found), bound()
    if folder == memory_place():
        allowed = min(allowed, FEW_BYTES_TOGETHER)
    for entry in found:
        enough = not room_for or check_room(folder, room_for)
        if total <= allowed and count <= MAX_ENTRIES and enough:
            return
        if cache_entry.remove(entry.path):
            total, count = total - entry.size, count - 1


def unpack(archive: Archive, members: Iterable[Member], folder: Path) -> None:
    """Write members below a folder that nobody else can write to.

    Members that lie on this machine as files become links to them; the others are copied. Modes,
    owners and times of the archive are ignored.

    Args:
        archive: The archive, whose names are known to be good.
        members: Those of its members that are wanted.
        folder: An existing, empty, private folder.

    Raises:
        ValidationError: A member is damaged.
        ArchiveError: The disk is full or cannot be written.
    """
    for member in members:
        target = folder / member.name
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if member.source is not None:
                target.symlink_to(member.source.absolute())
                continue
            with archive.open(member.name) as source:
                _copy(source, target, size=member.size)
        except OSError as error:
            raise failure(folder, error) from error


def check_room(folder: Path, needed: int) -> bool:
    """Whether a folder's disk has room for so many bytes and a little more."""
    return shutil.disk_usage(folder).free >= needed + min(needed, _ROOM_LEFT)


def no_room(folder: Path, needed: int) -> ArchiveError:
    """The error for a disk without that much room."""
    free = shutil.disk_usage(folder).free
    return UnusableError(
        f"Unpacking needs {needed:,} bytes in {folder}, where {free:,} are free.",
        hint="Run `mar cache --clear`, or name another folder with MAR_CACHE_DIR.",
    )


def _copy(source: BinaryIO, target: Path, *, size: int) -> None:
    descriptor = os.open(target, _NEW_FILE | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as sink:
        chunks = _read_ahead(source) if size >= _WORTH_A_THREAD else [source.read()]
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[sink.write(view) :]


def _read_ahead(source: BinaryIO) -> Iterator[bytes]:
    """Chunks, the next of which is read and verified in a thread while this one is written."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = reader.submit(source.read, CHUNK)
        while chunk := coming.result():
            coming = reader.submit(source.read, CHUNK)
            yield chunk


def failure(folder: Path, error: OSError) -> ArchiveError:
    """The error for a folder that takes no more files."""
    if error.errno in NO_ROOM:
        return UnusableError(
            f"The disk is full: the archive could not be unpacked to {folder}.",
            hint="Run `mar cache --clear`, or name another folder with MAR_CACHE_DIR.",
        )
    return UnusableError(f"The archive could not be unpacked to {folder}: {error.strerror}.")
