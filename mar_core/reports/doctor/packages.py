"""Installed packages, known from metadata alone: what is needed, what is there, what it enables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import importlib_metadata

from mar_core.plugins import HOST
from mar_core.reports.doctor.report import Check, State

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EXTRAS", "Unmet", "check_needed", "check_optional", "unmet", "version_of"]

# What each extra of mar-core is for; which packages belong to it, its metadata says.
EXTRAS = {
    "explain": "explanations of image and text classifiers (`mar run --explain`)",
    "text": "vocabularies that the tokenizers library saved",
    "parquet": "Parquet files as inputs and outputs",
    "remote": "inputs from S3, HTTP and other remote places",
    "new": "new handler packages (`mar new`)",
    "testing": "the kit for handlers' tests (mar_core.testing)",
}


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
            for line in _of_extra(wanted.name, name):
                yield from unmet(line, extra=name, seen=seen | {str(wanted)})


def check_needed(package: str, *, state: State) -> Iterator[Check]:
    """What an installed package asks for and does not find.

    Args:
        package: The package.
        state: How much that matters.
    """
    for line in _requirements(package):
        for lack in unmet(line):
            yield Check(
                name=package,
                state=state,
                message=f"It needs {lack.wanted} ({lack.why}).",
                hint=f"Install it: `pip install '{lack.wanted}'`.",
            )


def check_optional() -> Iterator[Check]:
    """What nobody must have: mar-core's extras."""
    extras = importlib_metadata.metadata(HOST).get_all("Provides-Extra") or []
    for name in extras:
        lacks = [lack for line in _of_extra(HOST, name) for lack in unmet(line, extra=name)]
        yield _optional(f"{HOST}[{name}]", EXTRAS.get(name, ""), lacks)


def _optional(name: str, purpose: str, lacks: list[Unmet]) -> Check:
    if not lacks:
        return Check(name=name, message=purpose)
    wanted = " and ".join(f"{lack.wanted} ({lack.why})" for lack in lacks)
    return Check(
        name=name,
        state=State.MISSING,
        message=f"For {purpose}; it needs {wanted}.",
        hint=f"Install it: `pip install '{name}'`.",
    )


def _requirements(package: str) -> list[str]:
    try:
        return importlib_metadata.requires(package) or []
    except importlib_metadata.PackageNotFoundError:
        return []


def _of_extra(package: str, extra: str) -> Iterator[str]:
    """The requirements that an extra of a package adds."""
    from packaging.requirements import Requirement

    for line in _requirements(package):
        marker = Requirement(line).marker
        if marker and not marker.evaluate({"extra": ""}) and marker.evaluate({"extra": extra}):
            yield line
