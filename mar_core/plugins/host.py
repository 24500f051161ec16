"""Which versions of mar-core a distribution asks for, and whether this is one of them.

``packaging`` knows. To import it takes longer than every plugin together, so that what most
distributions ask, such as ``mar-core<0.2,>=0.1``, is understood here.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["HOST", "asked_of", "contains", "names_host"]

HOST = "mar-core"

_OURS = re.compile(r"\s*mar[-_.]+core(?![-_.]*[a-z0-9])", re.IGNORECASE)
# Versions of numbers alone, in which nothing comes before or after a release.
_NUMBERS, _SIGN = r"\d+(?:\.\d+)*", r"[<>]=?|=="
_RELEASE = re.compile(_NUMBERS)
_COMPARISON = re.compile(rf"({_SIGN})({_NUMBERS})")
_EACH = rf"(?:{_SIGN}){_NUMBERS}"
_PLAIN = re.compile(rf"{HOST}(?:\[[a-z,]*\])?({_EACH}(?:,{_EACH})*)")
_COMPARE = {
    "<": operator.lt, "<=": operator.le, "==": operator.eq, ">=": operator.ge, ">": operator.gt,
}  # fmt: skip


def names_host(requirement: str) -> bool:
    """Whether a requirement is one of mar-core, however its name is written."""
    return _OURS.match(requirement) is not None


def asked_of(requirements: Iterable[str]) -> str:
    """The versions of mar-core that requirements ask for, such as ``>=0.1,<0.2``, or empty."""
    with contextlib.suppress(Exception):
        asked = map(_specifier_of, requirements)
        return next((specifier for specifier in asked if specifier is not None), "")
    return ""


@functools.cache
def contains(asked: str, version: str) -> bool:
    """Whether a specifier such as ``>=0.1,<0.2`` takes a version; pre-releases count.

    Raises:
        ValueError: One of the two cannot be understood.
    """
    comparisons = [_COMPARISON.fullmatch(part) for part in asked.split(",")]
    if _RELEASE.fullmatch(version) and all(comparisons):
        given = _numbers(version)
        return all(_COMPARE[found[1]](given, _numbers(found[2])) for found in comparisons if found)
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(asked).contains(version, prereleases=True)


def _specifier_of(requirement: str) -> str | None:
    if (plain := _PLAIN.fullmatch(requirement)) is not None:
        return plain[1]
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    parsed = Requirement(requirement)
    same = canonicalize_name(parsed.name) == HOST and "extra" not in str(parsed.marker)
    return str(parsed.specifier) if same else None


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version; 1.0 is 1."""
    numbers = [int(number) for number in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
