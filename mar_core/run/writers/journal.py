"""What a run can be taken up by again: a file of whole rows, and a note beside it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mar_core.errors import OutputError
from mar_core.runtime.file_watch import stamp_of
from mar_core.runtime.targets import named, replaced, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

__all__ = ["DoneIds", "Journal", "RunState"]

# Of a file that only happens to have the name of a note, no more is read.
LONGEST = 4096
SYNC_SECONDS = 2.0
# Of the digest of an id, in bytes.
HALF = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """The note beside an output, ``results.jsonl.run``.

    Attributes:
        digest: What made the rows: the archive's digest, and whatever else must stay the same.
        finished: Whether the run came to its end.
        stamp: The finished output's size in bytes and its time of change in nanoseconds, by which
            one that somebody else has written since is known; None in the notes of old versions.
        begun: When the run, or its latest part, began, in nanoseconds.
    """

    digest: str
    finished: bool
    stamp: tuple[int, int] | None = None
    begun: int = 0

    @staticmethod
    def path(output: Path) -> Path:
        """Where the note of an output lies."""
        return output.with_name(f"{output.name}.run")

    @classmethod
    def load(cls, output: Path) -> RunState | None:
        """The note of an output, or None when there is none that can be read."""
        try:
            with cls.path(output).open("rb") as stream:
                noted = json.loads(stream.read(LONGEST))
            stamp = noted.get("stamp")
            return cls(
                digest=str(noted["digest"]),
                finished=bool(noted["finished"]),
                stamp=None if stamp is None else (int(stamp[0]), int(stamp[1])),
                begun=int(noted.get("begun", 0)),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
            return None

    def save(self, output: Path) -> None:
        """Write the note.

        Raises:
            OutputError: It cannot be written.
        """
        path = self.path(output)
        with writing(path), replaced(path) as stream:
            stream.write(json.dumps(asdict(self)).encode())

    def foreign_change(self, output: Path) -> str:
        """What speaks for somebody else having written the output since, or nothing."""
        if not self.finished or self.stamp is None or self.stamp == stamp_of(output):
            return ""
        return f"{named(output)} has been changed since mar wrote it"


class DoneIds:
    """A set of ids that is only asked: ``id in done``, ``len(done)``.

    It holds 128-bit digests, 16 MB for a million ids; that two of a million are taken for one has a
    probability of about 1 in 10 to the 26.

    Args:
        ids: The ids.
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        digests = bytearray().join(_digest(name) for name in ids)
        self._highs: Any = ()
        self._lows: Any = ()
        if digests:
            import numpy as np

            halves = np.frombuffer(digests, dtype=">u8").astype("u8").reshape(-1, 2)
            halves = np.unique(halves, axis=0)
            self._highs, self._lows = halves[:, 0].copy(), halves[:, 1].copy()

    def __len__(self) -> int:
        return len(self._highs)

    def __contains__(self, name: object) -> bool:
        if not len(self) or not isinstance(name, str):
            return False
        digest = _digest(name)
        high, low = (int.from_bytes(half, "big") for half in (digest[:HALF], digest[HALF:]))
        place = int(self._highs.searchsorted(self._highs.dtype.type(high)))
        while place < len(self) and self._highs[place] == high:
            if self._lows[place] == low:
                return True
            place += 1
        return False


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=2 * HALF).digest()


class Journal:
    """An output of JSON lines, open for one writer.

    Rows are appended whole, a batch in one system call, and reach the disk every few seconds. What
    a full disk or a kill leaves of a row is taken off. Opening it changes nothing; ``begin`` does.

    Args:
        path: The file.
        parse: Reads a line as a row; None where it is not whole, an empty dict where it is no row.

    Attributes:
        done: The ids of the rows that were there.
        failed: How many of those rows hold an error.

    Raises:
        OutputError: Another run writes to it, or it cannot be written to.
    """

    def __init__(self, path: Path, *, parse: Callable[[bytes], dict[str, Any] | None]) -> None:
        self.path = path
        self._parse = parse
        self.done = DoneIds()
        self.failed = 0
        self._end = 0
        self._synced = time.monotonic()
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._new, self._descriptor = self._open_locked()

    @property
    def empty(self) -> bool:
        """Whether there is nothing in the file."""
        return os.fstat(self._descriptor).st_size == 0

    def begin(self, *, keep: bool) -> None:
        """Make ready for rows; a file without any becomes empty.

        Args:
            keep: Go on behind the rows that are there, in place of starting afresh.

        Raises:
            OutputError: It holds something else than rows, or cannot be written to.
        """
        if keep:
            self.done = DoneIds(self._whole_ids())
        if not self.done:
            self._end = 0  # what it begins with may have been cut off
        with writing(self.path):
            os.ftruncate(self._descriptor, self._end)

    def append(self, lines: bytes) -> None:
        """Add whole lines.

        Raises:
            OutputError: There is no room, or the disk fails; the file ends with its last whole row.
        """
        with writing(self.path):
            try:
                _write_all(self._descriptor, lines, self._end)
            except OSError:
                os.ftruncate(self._descriptor, self._end)
                raise
            self._end += len(lines)
            if time.monotonic() - self._synced > SYNC_SECONDS:
                self.flush()

    def flush(self) -> None:
        """Wait until all rows are on the disk."""
        with writing(self.path):
            os.fsync(self._descriptor)
        self._synced = time.monotonic()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def forget(self) -> None:
        """Let go of a file that was not written to; one that was not there is taken away."""
        if self._new and self.empty:
            self.path.unlink(missing_ok=True)
        self.close()

    def _open_locked(self) -> tuple[bool, int]:
        """Whether the file is new, and its descriptor, which has the lock of what is there now."""
        while True:
            new = not os.path.lexists(self.path)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                self._lock(descriptor)
                if os.fstat(descriptor).st_nlink:
                    return new, descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # the run that had it took it away when it was done

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"Another run is writing to {named(self.path)}.",
                hint="Wait for it, or name another output.",
            ) from error

    def _whole_ids(self) -> Iterator[str]:
        """The ids of the rows that are there; the file's end becomes that of the last whole one."""
        with os.fdopen(os.dup(self._descriptor), "rb") as stream:
            for number, line in enumerate(stream, start=1):
                row = self._parse(line)
                if row is None and not stream.read(1):
                    return  # the last row was cut off
                if row is None:
                    raise OutputError(
                        f"Line {number} of {named(self.path)} is no row of results.",
                        hint="Name another output, or start afresh with --force.",
                    )
                self._end += len(line)
                if row:
                    self.failed += "error" in row
                    yield row["id"]


def _write_all(descriptor: int, lines: bytes, offset: int) -> None:
    """Write in one call; a second one comes only where the system took a part."""
    rest = memoryview(lines)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written
