"""What was compiled for a model, kept from one start to the next as an entry of the cache.

The files are the compiler's own: machine code and pickles, which it loads as it finds them. They
lie where nobody else can write (``prepared_place`` makes sure), and what is not as this user's own
mar has noted it is removed before the compiler sees it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
import time
from pathlib import Path

from mar_core.cache import entry as cache_entry
from mar_core.cache.entry import COMPILED, FILES, NEW, NOTE
from mar_core.cache.location import prepared_place
from mar_core.format import locks

__all__ = ["CompiledCode"]

logger = logging.getLogger(__name__)

# A file that has not been written to for so long is whole: its compiler has ended, or was killed,
# and then nobody has noted it.
SETTLED_SECONDS = 30
# The compiler's locks, which change with every use.
LOCKS = ".lock"
TRIES = 5


class CompiledCode:
    """The entry of one model, for one machine and one compiler. It is in use while this is open.

    Args:
        digest: What names the archive.
        made_for: Whatever else the code depends on: device, versions.
        name: The model's name.

    Attributes:
        path: The folder for the compiler.

    Raises:
        ArchiveError: The cache's place cannot be made, or is not ours alone.
        OSError: The entry cannot be made.
    """

    def __init__(self, digest: str, made_for: str, *, name: str) -> None:
        key = hashlib.sha256(f"{digest}\n{made_for}".encode()).hexdigest()
        self._folder = prepared_place() / f"{COMPILED}{key}"
        self._name, self._source = name, f"compiled for {made_for}"
        self._noted: dict[Path, tuple[int, int]] = {}
        self.path = self._folder / FILES
        self._held: int | None = None
        for _ in range(TRIES):
            self._make()
            self._sweep()
            self._held = locks.hold(self._folder)
            if self._held is not None:
                return
        raise BlockingIOError(f"{self._folder} is taken away again and again")

    def note(self) -> None:
        """Note what has been compiled, so that the next start takes it for sound."""
        if self._held is None:
            return
        whole = None if self._alone(self._held) else time.time() - SETTLED_SECONDS
        found = self._found(before=whole)
        if self._held is not None and found.items() - self._noted.items():
            with contextlib.suppress(OSError):  # the disk is full: the next start compiles again
                self._write_note(self._folder, sorted(found))
                self._noted = found

    def close(self) -> None:
        """Note what has been compiled, and let go of the entry."""
        self.note()
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _write_note(self, folder: Path, paths: list[Path]) -> None:
        cache_entry.write_note(folder, name=self._name, source=self._source, paths=paths)

    def _make(self) -> None:
        """Make the entry where there is none, whole in one step."""
        if cache_entry.is_noted(self._folder):
            return
        cache_entry.remove(self._folder)  # whatever stands there without a note
        new = Path(tempfile.mkdtemp(prefix=NEW, dir=self._folder.parent))
        try:
            (new / FILES).mkdir(mode=0o700)
            self._write_note(new, [])
            with contextlib.suppress(FileExistsError, OSError):  # another process was faster
                new.rename(self._folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what is not as noted, where nobody else is at work."""
        descriptor = locks.try_exclusive(self._folder)
        if descriptor is None:
            return
        try:
            changed = cache_entry.changed_files(self._folder)
            if changed:
                logger.warning(
                    "What was compiled for this model has changed since, and is compiled again: %s",
                    changed[0],
                )
            for path in (*changed, *cache_entry.strangers(self._folder)):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            self._noted = self._found(before=None)
            # Known as used: the longest unused entries go first when the cache is full.
            os.utime(self._folder / NOTE)
        finally:
            os.close(descriptor)

    def _alone(self, held: int) -> bool:
        """Whether no other process has the entry in use; it stays in use here."""
        os.close(held)
        descriptor = locks.try_exclusive(self._folder)
        if descriptor is not None:
            os.close(descriptor)
        self._held = locks.hold(self._folder)
        return descriptor is not None

    def _found(self, *, before: float | None) -> dict[Path, tuple[int, int]]:
        """Size and time of every file, of those last written to before a moment."""
        found = {}
        for parent, _, names in os.walk(self.path):
            for path in (Path(parent, name) for name in names if not name.endswith(LOCKS)):
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    if before is None or status.st_mtime < before:
                        found[path] = status.st_size, status.st_mtime_ns
        return found
