"""What an environment lacks for a requirement, known from installed packages' metadata alone."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import importlib_metadata

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Unmet", "of_extra", "unmet", "unmet_lines", "version_of"]

_HASHES = re.compile(r"\s--hash\S*(\s+\S+:\S+)?")


@dataclass(frozen=True, slots=True)
class Unmet:
    """A requirement that this environment does not meet.

    Attributes:
        package: The package's name.
        wanted: The requirement without its marker.
        why: What is there instead, such as ``not installed``.
    """

    package: str
    wanted: str
    why: str


def version_of(package: str) -> str | None:
    """The version of an installed package, or None where it is not installed."""
    try:
        return importlib_metadata.version(package) or None
    except Exception:  # noqa: BLE001 - a folder that an uninstall left behind has no metadata
        return None


def unmet(
    requirement: str, *, extra: str = "", seen: frozenset[str] = frozenset()
) -> Iterator[Unmet]:
    """What this environment lacks for one requirement, the extras that it names included.

    Args:
        requirement: A requirement without pip's options.
        extra: The extra whose requirement it is.
        seen: What led here, for extras that name each other.

    Raises:
        InvalidRequirement: It is none.
    """
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    marker = wanted.marker
    wanted.marker = None
    if str(wanted) in seen or (marker and not marker.evaluate({"extra": extra})):
        return
    version = version_of(wanted.name)
    if version is None:
        yield Unmet(wanted.name, str(wanted), "not installed")
    elif not wanted.specifier.contains(version, prereleases=True):
        yield Unmet(wanted.name, str(wanted), f"{version} is installed")
    else:
        for name in wanted.extras:
            for line in of_extra(wanted.name, name):
                yield from unmet(line, extra=name, seen=seen | {str(wanted)})


def unmet_lines(lines: Iterable[str]) -> Iterator[Unmet]:
    """What this environment lacks for the lines of a requirements file.

    Args:
        lines: The lines; what is none of a requirement is the rules' affair, and passed over.
    """
    from packaging.requirements import InvalidRequirement

    for line in lines:
        with contextlib.suppress(InvalidRequirement):
            yield from unmet(_HASHES.sub("", line).strip())


def of_extra(package: str, extra: str) -> Iterator[str]:
    """The requirements that an extra of a package adds."""
    from packaging.requirements import Requirement

    try:
        lines = importlib_metadata.requires(package) or []
    except importlib_metadata.PackageNotFoundError:
        return
    for line in lines:
        marker = Requirement(line).marker
        if marker and not marker.evaluate({"extra": ""}) and marker.evaluate({"extra": extra}):
            yield line
