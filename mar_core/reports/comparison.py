"""Comparing results piece by piece: numbers within a tolerance, everything else exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DEFAULT_TOLERANCE", "Difference", "Tolerance", "differences"]

_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far a number may be off: ``absolute + relative * |expected|``.

    Attributes:
        relative: The part that grows with the number.
        absolute: The part that does not.
    """

    relative: float = 1e-3
    absolute: float = 1e-5

    def allows(self, expected: float, got: float) -> bool:
        """Whether two numbers are equal enough; NaN equals NaN."""
        if math.isnan(expected) or math.isnan(got):
            return math.isnan(expected) and math.isnan(got)
        if math.isinf(expected) or math.isinf(got):
            return expected == got
        return abs(expected - got) <= self.absolute + self.relative * abs(expected)


DEFAULT_TOLERANCE = Tolerance()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place where two results differ.

    Attributes:
        place: Where, such as ``result[0].boxes[2]``.
        expected: What was expected there.
        got: What is there.
        amount: By how much two numbers differ, or None.
    """

    place: str
    expected: Any
    got: Any
    amount: float | None = None

    def __str__(self) -> str:
        by = "" if self.amount is None else f" (off by {self.amount:.3g})"
        return f"{self.place}: expected {_short(self.expected)}, got {_short(self.got)}{by}"


def differences(
    expected: Any, got: Any, *, tolerance: Tolerance = DEFAULT_TOLERANCE, place: str = "result"
) -> Iterator[Difference]:
    """Where two results differ.

    Args:
        expected: JSON values, as ``mar run --json`` writes them.
        got: Likewise.
        tolerance: How far numbers may be off. Two whole numbers must be equal: they are counts and
            classes.
        place: What to call the results.

    Yields:
        Each place that differs, in order.
    """
    if isinstance(expected, dict) and isinstance(got, dict):
        yield from _dicts(expected, got, tolerance, place)
    elif isinstance(expected, list) and isinstance(got, list):
        yield from _lists(expected, got, tolerance, place)
    elif not _equal(expected, got, tolerance):
        yield Difference(place=place, expected=expected, got=got, amount=_amount(expected, got))


def _dicts(
    expected: dict[str, Any], got: dict[str, Any], tolerance: Tolerance, place: str
) -> Iterator[Difference]:
    for key, value in expected.items():
        where = f"{place}.{key}"
        if key in got:
            yield from differences(value, got[key], tolerance=tolerance, place=where)
        else:
            yield Difference(place=where, expected=value, got="nothing")
    for key, value in got.items():
        if key not in expected:
            yield Difference(place=f"{place}.{key}", expected="nothing", got=value)


def _lists(
    expected: list[Any], got: list[Any], tolerance: Tolerance, place: str
) -> Iterator[Difference]:
    if len(expected) != len(got):
        yield Difference(place=place, expected=f"{len(expected)} items", got=f"{len(got)} items")
        return
    for number, (one, other) in enumerate(zip(expected, got, strict=True)):
        yield from differences(one, other, tolerance=tolerance, place=f"{place}[{number}]")


def _equal(expected: Any, got: Any, tolerance: Tolerance) -> bool:
    if _is_whole(expected) and _is_whole(got):
        return bool(expected == got)
    numbers = _number(expected), _number(got)
    if None not in numbers:
        return tolerance.allows(*numbers)  # type: ignore[arg-type]
    return type(expected) is type(got) and bool(expected == got)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> float | None:
    """A JSON value as a number; results hold the numbers that JSON lacks as text."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return _NUMBERS.get(value) if isinstance(value, str) else None


def _amount(expected: Any, got: Any) -> float | None:
    one, other = _number(expected), _number(got)
    return None if one is None or other is None else abs(one - other)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - fits a line
