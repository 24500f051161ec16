"""What every writer offers."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

from mar_core.run.values import plain
from mar_core.run.writers.done import DoneIds
from mar_core.run.writers.rows import dump, to_row

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from typing_extensions import Self

    from mar_core.run.types import Outcome
    from mar_core.run.writers.blobs import BlobFolder

__all__ = ["Writer"]


class Writer(abc.ABC):
    """Takes the outcomes of a run, batch by batch. Use it as a context manager.

    Args:
        blobs: Where bytes, tensors and pictures go; None keeps them in the rows.
        details: Write down what the handler said about its answers, too.

    Attributes:
        done: The ids that an earlier run has written.
    """

    def __init__(self, *, blobs: BlobFolder | None = None, details: bool = False) -> None:
        self.done = DoneIds()
        self._save = blobs.save_for if blobs is not None else None
        self._details = details

    def write(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """Write one row for each outcome, all of them at once.

        Returns:
            The outcomes as written: one whose result cannot be written down has become a failure of
            the stage ``result``.

        Raises:
            OutputError: There is no room, or the place has gone.
        """
        written = [plain(outcome, save=self._save) for outcome in outcomes]
        self._put(b"".join(dump(to_row(item, details=self._details)) for item in written))
        return written

    def flush(self) -> None:  # noqa: B027 - a stream has nothing to flush
        """Wait until all rows are where they should be."""

    def close(self, *, finished: bool = True) -> None:  # noqa: B027 - likewise
        """Let go of the output.

        Args:
            finished: Whether the run came to its end; if not, it can be resumed.
        """

    @abc.abstractmethod
    def _put(self, lines: bytes) -> None:
        """Take rows, as JSON lines."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(finished=kind is None)
