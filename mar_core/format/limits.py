"""How much an archive may hold, and what looking at it may cost.

The limits are such that no honest model reaches them and every bomb does. What examining costs is
bounded as a whole, for bounds at single places never add up to one: sixty small pickles cost as
much as a large one. So whoever goes over what an archive holds, a reader or a rule, says so with
``spend``, and the examination ends when it has taken more than any honest archive needs.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from mar_core.errors import MarError, UsageError
from mar_core.format.codes import finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.findings import Finding

__all__ = [
    "DEFAULT_LIMITS", "Limits", "TimeBudget", "TooCostly", "budget", "memory_allowed",
    "parse_size", "seconds_allowed", "spend",
]  # fmt: skip

MIB = 1 << 20
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

SECONDS_VARIABLE, MEMORY_VARIABLE = "MAR_MAX_SECONDS", "MAR_MAX_MEMORY"
_SECONDS, _MEMORY = 2.0, "300M"
_MOST_SECONDS, _MOST_MEMORY = 1e7, 1 << 60  # more, no clock and no system can be asked for
_BYTES_A_SECOND = 50 * MIB  # what a slow processor digests
_LOOK_EVERY = 256  # the clock is asked seldom: spending must cost next to nothing
_clock = getattr(time, "thread_time", time.process_time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a reader takes.

    Attributes:
        max_members: Members, folders counted too.
        max_size: Bytes of all members together, unpacked. None allows 256 MiB plus 20 times the
            archive's own size, or what the variable ``MAR_MAX_SIZE`` says.
    """

    max_members: int = 10_000
    max_size: int | None = None

    def total(self, file_size: int) -> int:
        """The bytes that an archive of ``file_size`` bytes may unpack to.

        Raises:
            UsageError: ``MAR_MAX_SIZE`` is no size.
        """
        if self.max_size is not None:
            return self.max_size
        variable = os.environ.get("MAR_MAX_SIZE")
        if variable:
            return parse_size(variable, name="MAR_MAX_SIZE")
        return 256 * MIB + 20 * file_size

    def too_many(self, count: int) -> Finding | None:
        """The finding for that many members, if there is one."""
        if count <= self.max_members:
            return None
        message = f"The archive has {count:,} members; at most {self.max_members:,} are allowed."
        return finding("MAR-L001", message)

    def too_large(self, total: int, file_size: int) -> Finding | None:
        """The finding for ``total`` unpacked bytes in a file of ``file_size``, if there is one."""
        allowed = self.total(file_size)
        if total <= allowed:
            return None
        message = (
            f"The archive of {file_size:,} bytes unpacks to {total:,} bytes or more; "
            f"{allowed:,} are allowed for it."
        )
        return finding("MAR-L002", message)


DEFAULT_LIMITS = Limits()


def parse_size(text: str, *, name: str) -> int:
    """Bytes from ``1048576``, ``500M`` or ``20G`` (powers of 1024).

    Args:
        text: What the user wrote.
        name: Where they wrote it, for the error.

    Raises:
        UsageError: It is no size.
    """
    match = re.fullmatch(r"\s*(\d{1,15})\s*([KMGT]?)(i?B)?\s*", text, re.IGNORECASE)
    if match is None:
        raise UsageError(
            f"{name} is {text!r}, which is no size.", hint="Write bytes, or such as 500M or 20G."
        )
    return int(match[1]) * _UNITS[match[2].upper()]


class TooCostly(MarError):  # noqa: N818 - a finding on its way to the loop over the rules
    """An archive costs more to examine than is allowed."""

    @property
    def finding(self) -> Finding:
        """What to tell about the archive."""
        return finding("MAR-L003", self.message)


class TimeBudget:
    """The processor time that is left for one examination, by one thread.

    Args:
        seconds: How much there is.

    Attributes:
        seconds: The same.
        spent: Whether there is none left; it stays so.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.spent = False
        self._end = _clock() + seconds
        self._uncounted = 0

    def take(self, items: int) -> None:
        """Note that so many more things were looked at.

        Raises:
            TooCostly: There is no time left.
        """
        self._uncounted += items
        if self._uncounted >= _LOOK_EVERY or self.spent:
            self._uncounted = 0
            self.check()

    def check(self) -> None:
        """Look at the clock.

        Raises:
            TooCostly: There is no time left.
        """
        self.spent = self.spent or _clock() > self._end
        if self.spent:
            too_slow(self.seconds)


_current: ContextVar[TimeBudget | None] = ContextVar("mar_budget", default=None)


@contextlib.contextmanager
def budget(size: int) -> Iterator[TimeBudget]:
    """Bound the examination of an archive of ``size`` bytes; within another one, share that.

    Raises:
        UsageError: ``MAR_MAX_SECONDS`` is no number of seconds.
    """
    around = _current.get()
    if around is not None:
        yield around
        return
    made = TimeBudget(seconds_allowed(size))
    token = _current.set(made)
    try:
        yield made
    finally:
        _current.reset(token)


def spend(items: int = 1) -> None:
    """Say that so many more things of an archive were looked at: bytes by the kilobyte, else one.

    Raises:
        TooCostly: The examination takes longer than is allowed.
    """
    current = _current.get()
    if current is not None:
        current.take(items)


def too_slow(seconds: float) -> NoReturn:
    """Refuse an archive for the time that it takes.

    Raises:
        TooCostly: Always.
    """
    raise TooCostly(
        f"The archive costs more than {seconds:.3g} seconds to examine.",
        hint=f"If you trust it, allow more with {SECONDS_VARIABLE}.",
    )


def seconds_allowed(size: int) -> float:
    """The processor time, in seconds, that an archive of ``size`` bytes may cost.

    Raises:
        UsageError: ``MAR_MAX_SECONDS`` is no number of seconds.
    """
    text = os.environ.get(SECONDS_VARIABLE)
    if not text:
        return _SECONDS + size / _BYTES_A_SECOND
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:  # NaN, too
        raise UsageError(
            f"{SECONDS_VARIABLE} is {text!r}, which is no number of seconds.",
            hint="Write such as 10, or inf.",
        )
    return min(seconds, _MOST_SECONDS)


def memory_allowed() -> int:
    """The bytes of memory that examining an archive may take, beside what Python takes.

    Raises:
        UsageError: ``MAR_MAX_MEMORY`` is no size.
    """
    asked = parse_size(os.environ.get(MEMORY_VARIABLE) or _MEMORY, name=MEMORY_VARIABLE)
    return min(asked, _MOST_MEMORY)
