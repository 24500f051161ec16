"""What every writer offers."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

from mar_core.run.answers import judged
from mar_core.run.writers.done import DoneIds
from mar_core.runtime.values import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    from mar_core.records import Outcome
    from mar_core.runtime.values import Save

__all__ = ["Writer"]


class Writer(abc.ABC):
    """Takes the outcomes of a run, batch by batch. Use it as a context manager.

    Args:
        save_for: Makes, for an id, what takes over bytes, tensors and pictures; None keeps them in
            the rows.

    Attributes:
        done: The ids that an earlier run has written.
        failed_before: How many of those rows hold an error.
        done_since: When the run that wrote them began, in nanoseconds; 0 where that is not known.
    """

    def __init__(self, *, save_for: Callable[[str], Save] | None = None) -> None:
        self.done = DoneIds()
        self.failed_before = 0
        self.done_since = 0
        self._save_for = save_for

    def write(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """Write one row for each outcome, all of them at once.

        Args:
            outcomes: What an engine gave.

        Returns:
            The outcomes as written: one whose result cannot be written down has become a failure of
            the stage ``result``, one with a status of 400 or more a failure of ``response``.

        Raises:
            OutputError: There is no room, or the place has gone.
        """
        written = [judged(plain(outcome, save=self._save_for)) for outcome in outcomes]
        self._put(written)
        return written

    def flush(self) -> None:  # noqa: B027 - not every place keeps anything back
        """Wait until all rows are where they should be."""

    def close(self, *, finished: bool = True) -> None:  # noqa: B027 - likewise
        """Let go of the output.

        Args:
            finished: Whether the run came to its end; if not, it can be resumed.
        """

    @abc.abstractmethod
    def _put(self, outcomes: list[Outcome]) -> None:
        """Take outcomes whose results JSON can hold."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(finished=kind is None)
