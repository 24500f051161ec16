"""How a worker died, in words, and what to do with the batch that it ran."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mar_core.records import Failure, Outcome

if TYPE_CHECKING:
    from mar_core.records import Input
    from mar_core.runtime.batching import NumberedBatch

__all__ = ["Death", "pieces"]

# Each death costs loading the model again: a batch is cut into many pieces at once, not in halves.
PIECES = 32
INTERNAL_ERROR = 500
OUT_OF_RESOURCES = 507


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

    def outcome(self, numbered: tuple[int, Input]) -> Outcome:
        """The failure of the one input that it ran."""
        index, source = numbered
        if self.seconds is not None:
            kind, hint = "TimeoutError", " Allow more with --timeout."
        elif self.may_be_memory:
            kind, hint = "MemoryError", " Try a smaller input or fewer --workers."
        else:
            kind, hint = "WorkerDied", ""
        failure = Failure(
            stage="worker",
            type=kind,
            message=f"The worker {self} while it ran this input.{hint}",
            code=OUT_OF_RESOURCES if self.may_be_memory else INTERNAL_ERROR,
        )
        return Outcome(index=index, id=source.id, failure=failure)


def pieces(batch: NumberedBatch) -> list[NumberedBatch]:
    """A batch in smaller ones, down to single inputs."""
    size = max(1, len(batch) // PIECES)
    return [batch[start : start + size] for start in range(0, len(batch), size)]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
