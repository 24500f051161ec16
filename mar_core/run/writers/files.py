"""Results in a file: JSON lines while the run goes on, the asked format at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.errors import OutputError
from mar_core.findings import printable
from mar_core.run.writers.base import Writer
from mar_core.run.writers.journal import Journal
from mar_core.run.writers.rows import lines
from mar_core.run.writers.state import RunState
from mar_core.runtime.place import replaced, writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

    from mar_core.records import Outcome
    from mar_core.runtime.values import Save

__all__ = ["FileWriter"]


class FileWriter(Writer):
    """Writes to a file, and can be resumed whatever the format.

    The rows are kept as JSON lines: in the file itself where that is its format, else in
    ``FILE.part`` until the end, when the file appears whole and the part goes.

    Args:
        path: The file.
        convert: Writes JSON lines in the file's format; None where that is JSON lines.
        resume: Go on with the run that it holds.
        digest: What makes the rows: the archive's digest, and whatever else must stay the same.
        save_for: Makes, for an id, what takes over bytes, tensors and pictures.
        details: Write down what the handler said about its answers, too.

    Raises:
        OutputError: Another run writes to it, it holds an interrupted run and ``resume`` is not
            set, or it was made by something else.
    """

    def __init__(
        self,
        path: Path,
        *,
        convert: Callable[[Path, BinaryIO], None] | None,
        resume: bool,
        digest: str,
        save_for: Callable[[str], Save] | None = None,
        details: bool = False,
    ) -> None:
        super().__init__(save_for=save_for)
        self._details = details
        self._path = path
        self._convert = convert
        self._digest = digest
        self._closed = False
        self._rows = path if convert is None else path.with_name(f"{path.name}.part")
        state = RunState.load(path)
        if resume:
            _check_resume(path, self._rows, state, digest)
        elif state is not None and _begun(self._rows):
            state.check_start(path)
        self._journal = Journal(self._rows, keep=resume)
        self.done = self._journal.done
        RunState(digest=digest, finished=False).save(path)

    def flush(self) -> None:
        """Wait until all rows are on the disk."""
        self._journal.flush()

    def close(self, *, finished: bool = True) -> None:
        """Flush, and at the end of a run put the file in its place; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._journal.close()
        if not finished:
            return
        if self._convert is not None:
            with writing(self._path), replaced(self._path) as stream:
                self._convert(self._rows, stream)
            self._rows.unlink()
        RunState(digest=self._digest, finished=True).save(self._path)

    def _put(self, outcomes: list[Outcome]) -> None:
        self._journal.append(lines(outcomes, details=self._details))


def _begun(rows: Path) -> bool:
    return rows.exists() and rows.stat().st_size > 0


def _check_resume(path: Path, rows: Path, state: RunState | None, digest: str) -> None:
    name = printable(str(path))
    if not rows.exists() and path.exists():
        raise OutputError(
            f"{name} is finished, and a finished {path.suffix} cannot be added to.",
            hint="Name another output; a .jsonl can be resumed at any time.",
        )
    if state is None and _begun(rows):
        raise OutputError(
            f"{name} cannot be resumed: {RunState.path(path).name} beside it, which says what made "
            f"it, is missing.",
            hint="Name another output, or remove this one to start afresh.",
        )
    if state is not None and _begun(rows) and state.digest != digest:
        raise OutputError(
            f"{name} was made by another archive or in another way ({state.digest[:12]}, not "
            f"{digest[:12]}).",
            hint="Resume with what it was begun with, or name another output.",
        )
