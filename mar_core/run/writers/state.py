"""What a run notes beside its output, so that it can be resumed by the same archive alone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mar_core.errors import OutputError
from mar_core.findings import printable
from mar_core.runtime.place import replaced, writing

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RunState"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """The note beside an output, ``results.jsonl.run``.

    Attributes:
        digest: What made the rows: the archive's digest, and whatever else must stay the same.
        finished: Whether the run came to its end.
    """

    digest: str
    finished: bool

    @staticmethod
    def path(output: Path) -> Path:
        """Where the note of an output lies."""
        return output.with_name(f"{output.name}.run")

    @classmethod
    def load(cls, output: Path) -> RunState | None:
        """The note of an output, or None when there is none that can be read."""
        try:
            noted = json.loads(cls.path(output).read_bytes())
            return cls(digest=str(noted["digest"]), finished=bool(noted["finished"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, output: Path) -> None:
        """Write the note.

        Raises:
            OutputError: It cannot be written.
        """
        path = self.path(output)
        with writing(path), replaced(path) as stream:
            stream.write(json.dumps(asdict(self)).encode())

    def check_start(self, output: Path) -> None:
        """Refuse to start afresh over an unfinished run.

        Raises:
            OutputError: The output holds one.
        """
        if not self.finished:
            name = printable(str(output))
            raise OutputError(
                f"{name} holds an interrupted run.",
                hint=f"Continue it with --resume, or start afresh after `rm {name}*`.",
            )
