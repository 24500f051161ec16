"""Whether an archive can run on this machine, and everything that keeps it from that."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from mar_core.checks.checking import check_archive
from mar_core.checks.subject import Subject
from mar_core.errors import ArchiveError
from mar_core.findings import Severity
from mar_core.format.reader import open_archive
from mar_core.handlers.lookup import why_absent
from mar_core.plugins import HOST, Plugins, disabled_names, load_plugins
from mar_core.plugins.listing import EntryStatus, check_entries
from mar_core.reports.doctor import needs
from mar_core.reports.doctor.machine import torch_answer
from mar_core.reports.doctor.report import Check, State, from_error
from mar_core.reports.inspection import read_config
from mar_core.text import plural
from mar_core.weights.loading import other_loaders, refusal

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from mar_core.findings import Finding
    from mar_core.handlers.lookup import FoundHandler

__all__ = ["check_here"]

_STATES = {Severity.ERROR: State.ERROR, Severity.WARNING: State.WARNING}
# What validation says of a handler that is not here; a doctor knows more about it.
_HANDLER_CODES = {"MAR-R003", "MAR-R004", "MAR-R005", "MAR-R006"}


def check_here(path: str | os.PathLike[str], statuses: Sequence[EntryStatus]) -> Iterator[Check]:
    """Hold an archive against this machine.

    Args:
        path: A ``.mar``, a ``.tar.gz`` or a folder.
        statuses: The installed handlers and plugins; those that are broken are not loaded.
    """
    plugins = _working_plugins(statuses)
    checked = check_archive(path, plugins=plugins)
    if checked.failure is not None:
        yield Check(name="archive", state=State.ERROR, message=checked.failure)
        return
    for finding in checked.findings:
        if finding.code not in _HANDLER_CODES and finding.severity in _STATES:
            yield _from_finding(finding)
    # What cannot be opened or read is among the findings.
    with contextlib.suppress(ArchiveError), open_archive(path) as archive:
        subject = Subject(archive, plugins=plugins)
        if subject.manifest_fault is None:
            yield from _handler(subject, statuses)
            yield from _weights(subject, plugins)
            yield from _device(read_config(subject))
            yield from needs.check(subject)


def _working_plugins(statuses: Sequence[EntryStatus]) -> Plugins:
    broken = {s.name for s in statuses if s.kind == "plugin" and s.state == "broken"}
    return load_plugins(disabled=disabled_names() | broken)


def _from_finding(finding: Finding) -> Check:
    where = f"{finding.member}: " if finding.member else ""
    return Check(
        name=finding.code,
        state=_STATES[finding.severity],
        message=f"{where}{finding.message}",
        hint=finding.hint,
    )


def _handler(subject: Subject, statuses: Sequence[EntryStatus]) -> Iterator[Check]:
    manifest, found = subject.manifest, subject.handler
    if manifest.handler is None:
        return
    if manifest.runtime == "LSP":
        yield Check(
            name="handler",
            state=State.ERROR,
            message="It is written in C++, for TorchServe's own back end.",
            hint="Run it with TorchServe, or write it in Python.",
        )
    elif found is None:
        absence = why_absent(manifest, subject.archive.members)
        yield from_error("handler", absence.error(manifest.handler))
    elif found.member is not None:
        yield Check(name="handler", message=f"{found.member} of the archive")
    else:
        yield from _shipped_handler(subject, found, statuses)


def _shipped_handler(
    subject: Subject, found: FoundHandler, statuses: Sequence[EntryStatus]
) -> Iterator[Check]:
    """A registered handler, or a class of an installed package."""
    by = f" of {found.distribution} {found.version}" if found.distribution else ""
    registered = [s for s in statuses if s.kind == "handler" and s.target == found.target]
    tried = check_entries([s for s in registered if s.distribution == found.distribution])
    for status in tried:
        if not status.is_good:
            yield Check(name="handler", state=State.ERROR, message=status.reason)
            return
    yield Check(name="handler", message=f"{found.target or found.name}{by}")
    recorded = subject.manifest.mar.get("handler")
    made_with = recorded.get("version") if isinstance(recorded, dict) else None
    if made_with and found.version and made_with != found.version:
        shipper = found.distribution
        yield Check(
            name="handler",
            state=State.WARNING,
            message=f"The archive was made with {shipper} {made_with}; here is {found.version}.",
            hint=f"For the same results, install mar {made_with}."
            if shipper == HOST
            else f"For the same results: `pip install {shipper}=={made_with}`.",
        )


def _weights(subject: Subject, plugins: Plugins) -> Iterator[Check]:
    name, report = subject.manifest.serialized_file, subject.weights
    if name is None or report is None:
        return
    if report.format.load is not None:
        yield Check(name="weights", message=f"{name} is {report.format.name}")
        return
    others = other_loaders(plugins)
    if others:
        yield Check(name="weights", message=f"{name} is left to {', '.join(others)}")
    else:
        certain = subject.is_loaded_by_base_handler
        state = State.ERROR if certain else State.WARNING
        yield from_error("weights", refusal(report.format, name), state=state)


def _device(config: Any) -> Iterator[Check]:
    """What the config asks for and this machine does not have; a run takes what there is."""
    if not isinstance(config, dict):
        return
    count, ids = torch_answer()["accelerators"], config.get("deviceIds")
    seen = f"PyTorch sees {count or 'no'} {plural(count, 'accelerator')} here"
    if config.get("deviceType") == "gpu" and not count:
        yield _slower(f"The config asks for a GPU; {seen}, and the archive runs on the CPU.")
    elif count and isinstance(ids, list) and any(isinstance(i, int) and i >= count for i in ids):
        listed = ", ".join(map(str, ids))
        yield _slower(f"The config asks for the devices {listed}; {seen}, and the first is taken.")


def _slower(message: str) -> Check:
    return Check(name="device", state=State.WARNING, message=message)
