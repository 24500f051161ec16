"""What looking at weights may cost: a budget that every walker charges as it goes."""

from __future__ import annotations

from typing import Protocol

from mar_core.format.limits import spend

__all__ = ["ALLOWANCE", "Allowance", "Budget", "TooCostlyError"]

# Bytes looked at; parsing that costs more than reading is charged as more bytes. About 2 seconds.
ALLOWANCE = 256 << 20


class TooCostlyError(Exception):
    """The budget is used up."""


class Budget(Protocol):
    """What is left to be spent on one archive."""

    def spend(self, size: int, /) -> None:
        """Charge bytes that are about to be read, or work that costs as much.

        Args:
            size: How many bytes.

        Raises:
            Exception: There is not so much left.
        """


class Allowance:
    """A budget of so many bytes.

    Args:
        size: How many.
    """

    def __init__(self, size: int = ALLOWANCE) -> None:
        self.left = size

    def spend(self, size: int, /) -> None:
        """Charge bytes.

        Raises:
            TooCostlyError: There is not so much left.
            TooCostly: The time for the archive is over.
        """
        spend(size >> 10 or 1)  # the time for all that looks at the archive
        self.left -= size
        if self.left < 0:
            raise TooCostlyError
