"""A file of JSON lines that only ever grows by whole rows, and can be taken up again."""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import TYPE_CHECKING

from mar_core.errors import OutputError
from mar_core.findings import printable
from mar_core.run.writers.done import DoneIds
from mar_core.runtime.place import writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Journal"]

SYNC_SECONDS = 2.0


class Journal:
    """An output of JSON lines, open for one writer.

    Rows are appended whole, a batch in one system call, and reach the disk every few seconds. What
    a full disk or a kill leaves of a row is taken off.

    Args:
        path: The file.
        keep: Go on behind the rows that are there, in place of starting afresh.

    Attributes:
        done: The ids of the rows that were there.

    Raises:
        OutputError: Another run writes to it, it cannot be written to, or it holds no rows.
    """

    def __init__(self, path: Path, *, keep: bool) -> None:
        self.path = path
        self.done = DoneIds()
        self._end = 0
        self._synced = time.monotonic()
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            self._lock()
            if keep:
                self.done = DoneIds(self._whole_ids())
            with writing(path):
                os.ftruncate(self._descriptor, self._end)
        except BaseException:
            os.close(self._descriptor)
            raise

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
        """Flush, and let go of the file."""
        try:
            self.flush()
        finally:
            os.close(self._descriptor)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"Another run is writing to {printable(str(self.path))}.",
                hint="Wait for it, or name another output.",
            ) from error

    def _whole_ids(self) -> Iterator[str]:
        """The ids of the rows that are there; the file's end becomes that of the last whole one."""
        with os.fdopen(os.dup(self._descriptor), "rb") as stream:
            for number, line in enumerate(stream, start=1):
                name = _row_id(line)
                if name is None and not stream.read(1):
                    return  # the last row was cut off
                if name is None:
                    raise OutputError(
                        f"Line {number} of {printable(str(self.path))} is no row of results.",
                        hint="Name another output, or remove this file to start afresh.",
                    )
                self._end += len(line)
                yield name


def _write_all(descriptor: int, lines: bytes, offset: int) -> None:
    """Write in one call; a second one comes only where the system took a part."""
    rest = memoryview(lines)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written


def _row_id(line: bytes) -> str | None:
    """The id of a row, or None when the line is not a whole row."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    name = row.get("id") if isinstance(row, dict) else None
    return name if isinstance(name, str) else None
