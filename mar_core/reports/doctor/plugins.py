"""The installed handlers and plugins, each plugin imported in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.plugins import HOST
from mar_core.plugins.listing import EntryStatus, check_entries, list_entries
from mar_core.reports.doctor.packages import check_needed
from mar_core.reports.doctor.report import Check, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["check_plugins", "statuses"]


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
