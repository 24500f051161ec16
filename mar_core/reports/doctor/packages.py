"""What is installed: packages, known from metadata alone, and handlers and plugins, tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import importlib_metadata

from mar_core.checks.requirements import of_extra, unmet
from mar_core.plugins import HOST
from mar_core.plugins.listing import EntryStatus, check_entries, list_entries
from mar_core.reports.doctor.report import Check, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mar_core.checks.requirements import Unmet

__all__ = ["EXTRAS", "check_needed", "check_optional", "check_plugins", "statuses"]

# What each extra of mar-core is for; which packages belong to it, its metadata says.
EXTRAS = {
    "explain": "explanations of image and text classifiers (`mar run --explain`)",
    "text": "vocabularies that the tokenizers library saved",
    "jpeg": "JPEGs decoded on the device of the model (`handler: {decoder: torchcodec}`)",
    "parquet": "Parquet files as inputs and outputs",
    "remote": "inputs from S3, HTTP and other remote places",
    "new": "new handler packages (`mar new`)",
    "env": "locks and environments of archives (`--lock`, `--env auto`)",
    "testing": "the kit for handlers' tests (mar_core.testing)",
}


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
        lacks = [lack for line in of_extra(HOST, name) for lack in unmet(line, extra=name)]
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


def statuses() -> list[EntryStatus]:
    """Every handler and plugin; the plugins, which every run loads, have been tried."""
    found = list_entries()
    tried = iter(check_entries([status for status in found if status.kind == "plugin"]))
    return [next(tried) if status.kind == "plugin" else status for status in found]


def check_plugins(found: Iterable[EntryStatus]) -> Iterator[Check]:
    """One line for what works of each distribution, and one for each thing that does not.

    Args:
        found: What ``statuses`` returned.
    """
    working: dict[str, list[str]] = {}
    troubled = []
    for status in found:
        if status.state in {"available", "loaded"}:
            working.setdefault(f"{status.distribution} {status.version}", []).append(status.name)
        else:
            troubled.append(status)
    for distribution, names in working.items():
        yield Check(name=distribution, message=", ".join(dict.fromkeys(names)))
        package = distribution.rpartition(" ")[0]
        if package != HOST:
            yield from check_needed(package, state=State.WARNING)
    for status in troubled:
        yield _trouble(status)


def _trouble(status: EntryStatus) -> Check:
    state = State.ERROR if status.distribution == HOST else State.WARNING
    if status.state == "blocked":
        state = State.MISSING
    return Check(
        name=f"{status.kind} {status.name}",
        state=state,
        message=f"{status.state}: {status.reason}",
    )
