"""What a run notes beside its output, so that it can be resumed by the same archive alone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mar_core.runtime.targets import named, replaced, writing

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RunState", "stamp_of"]

# Of a file that only happens to have the name of a note, no more is read.
LONGEST = 4096


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

    def changed(self, output: Path) -> str:
        """What speaks for somebody else having written the output since, or nothing."""
        if not self.finished or self.stamp is None or self.stamp == stamp_of(output):
            return ""
        return f"{named(output)} has been changed since mar wrote it"


def stamp_of(path: Path) -> tuple[int, int] | None:
    """A file's size in bytes and its time of change in nanoseconds; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
