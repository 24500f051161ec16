"""The files of one archive at work: read where they lie, unpacked when somebody asks for a path."""

from __future__ import annotations

import io
import os
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from mar_core.cache.entries import unpacked
from mar_core.cache.location import cache_folder
from mar_core.errors import ArchiveError
from mar_core.format.file import ArchiveFile, mapped
from mar_core.format.reader import open_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.format.view import Member, PackedArchive

__all__ = ["ModelFiles", "PackedFiles"]


class ModelFiles:
    """The files of an archive that is a folder, or was unpacked into one.

    Args:
        folder: The folder.

    Attributes:
        folder: The folder; see ``PackedFiles`` for where it need not be there.
        is_unpacked: Whether it is there.
    """

    is_unpacked = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __contains__(self, name: str) -> bool:
        return (self.folder / name).is_file()

    def lies_apart(self, name: str) -> bool:  # noqa: ARG002 - PackedFiles knows more
        """Whether the file is in the archive alone, and not in the folder."""
        return False

    def unpack(self) -> Path:
        """The folder, with every file but those that lie apart."""
        return self.folder

    def unpack_all(self) -> Path:
        """The folder, with every file."""
        return self.folder

    def path(self, name: str) -> Path:
        """Where a file is, or would be if the archive had it; what it has is there from now on.

        Args:
            name: Its name in the archive.
        """
        return self.folder / name

    def open(self, name: str) -> BinaryIO:
        """A seekable stream over a file of the archive."""
        return (self.folder / name).open("rb")

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, or None where the archive has none of that name."""
        return (self.folder / name).read_bytes() if name in self else None

    def view(self, name: str) -> memoryview:
        """The bytes of a file, mapped: nothing is read before it is used.

        What is written to the view stays with this process.
        """
        with (self.folder / name).open("rb") as stream:
            return mapped(stream.fileno(), 0, os.fstat(stream.fileno()).st_size)

    def close(self) -> None:
        """Hold on to nothing any more: no other process will ask for these files."""

    def check_unchanged(self) -> None:
        """Make sure that what is loaded from now on is what was loaded before.

        Raises:
            ArchiveError: The archive has changed meanwhile.
        """

    def check_views(self) -> None:
        """Make sure that what ``view`` gave still shows what it showed.

        Raises:
            ArchiveError: Somebody has written to the archive.
        """


class PackedFiles(ModelFiles):
    """The files of a ``.mar``. Nothing is unpacked before somebody asks for a path.

    It pickles: what reads it elsewhere on this machine reads the same file, also when another one
    has taken its path, as long as the process that made this holds on to it.

    Args:
        archive: The archive, open; may be closed afterwards.
        apart: A member that is read where it lies, and unpacked only when its own path is asked
            for, or all files are.
    """

    is_unpacked = False

    def __init__(self, archive: PackedArchive, apart: str | None = None) -> None:
        super().__init__(cache_folder() / "not-unpacked")
        self._source = archive.file.path.absolute()
        self._identity = archive.file.identity
        self._apart = archive.members[apart] if apart is not None else None
        self._names = frozenset(archive.members)
        self._archive: PackedArchive | None = None
        self._viewed: ArchiveFile | None = None
        self._lock = threading.RLock()
        held = os.dup(archive.file.fileno())
        self._let_go: Callable[[], object] = weakref.finalize(self, os.close, held)
        self._kept = f"/proc/{os.getpid()}/fd/{held}"

    def close(self) -> None:
        """See ``ModelFiles.close``."""
        with self._lock:
            self._let_go()
            if self._archive is not None and self._viewed is None:
                self._archive.close()
                self._archive = None

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def lies_apart(self, name: str) -> bool:
        """See ``ModelFiles.lies_apart``."""
        return self._apart is not None and self._apart.name == name

    def unpack(self, opened: PackedArchive | None = None) -> Path:
        """See ``ModelFiles.unpack``.

        Args:
            opened: The archive, for who has it open.
        """
        with self._lock:
            if not self.is_unpacked:
                without = None if self._apart is None else self._apart.name
                self.folder = unpacked(opened or self._opened(), without=without)
                self.is_unpacked = True
        return self.folder

    def unpack_all(self) -> Path:
        """See ``ModelFiles.unpack_all``."""
        with self._lock:
            if self._apart is not None:
                # The same folder as before, unless somebody has damaged it meanwhile.
                self.folder = unpacked(self._opened())
                self.is_unpacked, self._apart = True, None
        return self.unpack()

    def path(self, name: str) -> Path:
        """See ``ModelFiles.path``."""
        return (self.unpack_all() if self.lies_apart(name) else self.unpack()) / name

    def open(self, name: str) -> BinaryIO:
        """See ``ModelFiles.open``."""
        if self.is_unpacked and not self.lies_apart(name):
            return super().open(name)
        opened = self._opened()
        if opened.members[name].stored:
            return opened.open(name)
        return io.BytesIO(opened.read(name))

    def read(self, name: str) -> bytes | None:
        """See ``ModelFiles.read``."""
        return self._opened().read(name) if name in self else None

    def view(self, name: str) -> memoryview:
        """See ``ModelFiles.view``."""
        if not self.lies_apart(name):
            self.unpack()
            return super().view(name)
        member, self._viewed = cast("Member", self._apart), self._opened().file
        return mapped(self._viewed.fileno(), cast("int", member.offset), member.size)

    def check_unchanged(self) -> None:
        """See ``ModelFiles.check_unchanged``."""
        if self._apart is not None or not self.is_unpacked:
            self._file().close()

    def check_views(self) -> None:
        """See ``ModelFiles.check_views``."""
        if self._viewed is not None and self._viewed.identity != self._identity:
            raise self._changed()

    def _opened(self) -> PackedArchive:
        with self._lock:
            if self._archive is None:
                self._archive = open_file(self._file())
            return self._archive

    def _file(self) -> ArchiveFile:
        """The file, by its path or as the process that made this holds it."""
        for at in (self._source, Path(self._kept)):
            try:
                file = ArchiveFile(self._source, at=at)
            except ArchiveError:
                continue
            if file.identity == self._identity:
                return file
            file.close()
        raise self._changed()

    def _changed(self) -> ArchiveError:
        return ArchiveError(
            f"{self._source} has changed since it was loaded, and is read where it lies.",
            hint="Put a new archive in its place with a rename, as `mar` does, and begin again, so "
            "that all results are of one version.",
        )

    def __getstate__(self) -> dict[str, Any]:
        gone = {"_archive": None, "_viewed": None, "_lock": None, "_let_go": _nothing}
        return {**self.__dict__, **gone}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()


def _nothing() -> None:
    """What a copy in another process has to let go of."""
