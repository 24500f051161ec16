"""What a worker needs of mar in an environment of its own: links to what that environment lacks.

The environment has an archive's packages and nothing of mar. A folder of links stands before it on
the worker's path: to mar itself, which is the parent's and so speaks its protocol, and to those of
mar's dependencies that the environment has not. What the environment has, wins.
"""

from __future__ import annotations

import csv
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import importlib_metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

import mar_core
from mar_core.build.locking import TORCH
from mar_core.cache.entries import scratch
from mar_core.errors import ArchiveError
from mar_core.plugins import HOST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from importlib_metadata import Distribution

__all__ = ["installed_in", "linked", "same_release"]

# What mar's command line needs, and a worker does not.
_FOR_PEOPLE = {"rich", "typer"}
_OURS = ("mar_core", "builtin_handlers")


def installed_in(paths: Iterable[Path]) -> dict[str, str]:
    """The packages of an environment, by their normalized names.

    Args:
        paths: Its folders of packages.

    Returns:
        Each package's version.
    """
    found: dict[str, str] = {}
    for distribution in importlib_metadata.distributions(path=[str(path) for path in paths]):
        name, version = distribution.metadata["Name"], distribution.version
        if name and version:
            found.setdefault(canonicalize_name(name), version)
    return found


def same_release(one: str | None, other: str | None) -> bool:
    """Whether two versions are one release, whatever it was built for: 2.9.0 and 2.9.0+cpu."""
    try:
        return (
            one is not None and other is not None and Version(one).public == Version(other).public
        )
    except InvalidVersion:
        return False


def linked(present: Mapping[str, str], *, name: str) -> Path:
    """A folder of links to what an environment lacks for a worker.

    Args:
        present: What the environment has.
        name: The model that it is of.

    Returns:
        The folder. It is there until this process ends.

    Raises:
        ArchiveError: The versions do not fit together.
    """
    return _linked(tuple(sorted(present.items())), name)


@functools.lru_cache(maxsize=64)
def _linked(present: Sequence[tuple[str, str]], name: str) -> Path:
    needed = dict(_needed(dict(present), name))
    folder = scratch()
    for distribution in needed.values():
        for target in _top_levels(distribution):
            link = folder / target.name
            if not link.is_symlink():  # several packages fill one folder, such as `nvidia`
                link.symlink_to(target)
    return folder


def _needed(present: dict[str, str], name: str) -> Iterator[tuple[str, Distribution]]:
    """The distributions of this environment that a worker needs and that one lacks."""
    ours = present.get(HOST)
    if ours is not None and ours != mar_core.__version__:
        raise ArchiveError(
            f"The environment of {name} has mar-core {ours}, and this is {mar_core.__version__}: "
            "a worker and its parent must be of one version.",
            hint="Take mar-core out of it, or run the version that it has.",
        )
    skipped = set(TORCH) if present.keys() & set(TORCH) else set()
    waiting, seen = [HOST], set(skipped)
    while waiting:
        wanted = canonicalize_name(waiting.pop())
        if wanted in seen or (wanted in present and wanted != HOST):
            continue
        seen.add(wanted)
        distribution = _distribution(wanted)
        if distribution is None:
            continue
        yield wanted, distribution
        for requirement in _requirements(distribution):
            _check_fits(requirement, wanted, present, name)
            waiting.append(requirement.name)


def _requirements(distribution: Distribution) -> Iterator[Requirement]:
    host = canonicalize_name(distribution.metadata["Name"]) == HOST
    for line in distribution.requires or ():
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        if not (host and canonicalize_name(requirement.name) in _FOR_PEOPLE):
            yield requirement


def _check_fits(requirement: Requirement, by: str, present: Mapping[str, str], model: str) -> None:
    """Refuse an environment whose version of a package mar cannot use.

    Raises:
        ArchiveError: It is none of those that are needed.
    """
    version = present.get(canonicalize_name(requirement.name))
    if version is None or requirement.specifier.contains(version, prereleases=True):
        return
    whose = "a worker of mar" if by == HOST else f"{by}, which comes from mar's environment,"
    raise ArchiveError(
        f"The environment of {model} has {requirement.name} {version}, and {whose} needs "
        f"{requirement.name}{requirement.specifier}.",
        hint=f"Ask for `{requirement.name}{requirement.specifier}` in the requirements"
        f"{'' if by == HOST else f', and name {by} there too'}; then lock them again.",
    )


def _distribution(name: str) -> Distribution | None:
    try:
        found: Distribution = importlib_metadata.Distribution.from_name(name)
    except importlib_metadata.PackageNotFoundError:
        return None
    return found


def _top_levels(distribution: Distribution) -> Iterator[Path]:
    """The files and folders at the top of what a distribution has installed; the first counts."""
    if canonicalize_name(distribution.metadata["Name"]) == HOST:
        source = Path(mar_core.__file__).parent.parent  # also where its sources are edited
        yield from (source / name for name in _OURS)
    place = Path(str(distribution.locate_file("")))
    # Its property `files` would look for each of them on the disk.
    record = csv.reader((distribution.read_text("RECORD") or "").splitlines())
    names = {row[0].partition("/")[0] for row in record if row}
    if not names:  # made by a system's package manager, which lists nothing
        names = set((distribution.read_text("top_level.txt") or "").split())
        names |= {f"{module}.py" for module in names}
    for name in sorted(names - {"..", "__pycache__"}):
        if not name.endswith(".pth") and (place / name).exists():
            yield place / name
