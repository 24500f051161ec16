"""How a worker died, in words, and what to do with the calls that it had."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from mar_core.errors import MarError
from mar_core.records import Failure
from mar_core.runtime.failures import OUT_OF_RESOURCES
from mar_core.runtime.protocol import Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Death", "Part", "WorkerDied", "part_of"]

# Each death costs loading the model again: a batch is cut into many pieces at once, not in halves.
PIECES = 32
INTERNAL_ERROR = 500

Asked = TypeVar("Asked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """The end of a worker.

    Attributes:
        code: Its exit code, negative for a signal.
        seconds: The time limit that it ran over, or None.
    """

    code: int
    seconds: float | None = None

    @property
    def may_be_memory(self) -> bool:
        """Whether the kernel may have ended it for want of memory."""
        return self.seconds is None and self.code == -signal.SIGKILL

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"gave no answer within {self.seconds:g} s and was stopped"
        if self.may_be_memory:
            return "was killed (SIGKILL), as the system does when memory runs out"
        if self.code < 0:
            return f"was killed by {_signal_name(-self.code)}"
        return f"ended with exit code {self.code}"

    def failure(self) -> Failure:
        """The failure of the one input that it ran."""
        if self.seconds is not None:
            kind, hint = "TimeoutError", " Allow more with --timeout."
        elif self.may_be_memory:
            kind, hint = "MemoryError", " Try a smaller input or fewer --workers."
        else:
            kind, hint = "WorkerDied", ""
        return Failure(
            stage="worker",
            type=kind,
            message=f"The worker {self} while it ran this input.{hint}",
            code=OUT_OF_RESOURCES if self.may_be_memory else INTERNAL_ERROR,
            public="Worker died.",
        )


@dataclass(frozen=True, slots=True)
class Part:
    """What part a call had in the death of its worker.

    Attributes:
        begun: It was being answered.
        alone: Nothing else was: it is the cause.
    """

    begun: bool
    alone: bool

    def again(self, asked: Sequence[Asked]) -> list[list[Asked]]:
        """What to run again, and in which pieces: the one policy for all who have workers.

        What had not begun runs again as it was. Of several calls that had, each runs again with
        nothing beside it, for then its part is known. The one that is the cause runs again in
        pieces; if it is a single request there is nothing left to try.

        Args:
            asked: The requests of the call, or whatever stands for them.
        """
        if not self.alone:
            return [list(asked)]
        if len(asked) == 1:
            return []
        size = max(1, len(asked) // PIECES)
        return [list(asked[start : start + size]) for start in range(0, len(asked), size)]


def part_of(call: int, *, begun: int, finished: int) -> Part:
    """What part a call had in a death, by the worker's own count of its calls.

    Args:
        call: The call's number, counted from 0.
        begun: How many calls the worker had begun.
        finished: How many it had finished, answered or not.
    """
    working = finished <= call < begun
    return Part(begun=working, alone=working and begun - finished == 1)


class WorkerDied(MarError):  # noqa: N818 - as one says it
    """The process that was to answer is gone.

    Args:
        death: How it ended.
        part: What part the call had in it.

    Attributes:
        death: The same.
        alone: Whether what ``again`` gives must run with nothing beside it in its worker.
    """

    def __init__(self, death: Death, part: Part) -> None:
        super().__init__(f"The worker {death}.")
        self.death = death
        self.alone = part.begun
        self._part = part

    def again(self, requests: Sequence[Asked]) -> list[list[Asked]]:
        """The requests of the call to run again, in pieces; none when they must be answered."""
        return self._part.again(requests)

    def reply(self) -> Reply:
        """The answer for a request that ended its worker."""
        failure = self.death.failure()
        return Reply(status=failure.code, failure=failure)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
