"""``mar doctor`` as a function: whether mar, and an archive, can run on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.reports.doctor.archive import check_here
from mar_core.reports.doctor.machine import check_cache, check_machine
from mar_core.reports.doctor.packages import check_optional, check_plugins, statuses
from mar_core.reports.doctor.report import Check, Report, Section, State, explain_config, guarded

if TYPE_CHECKING:
    import os

__all__ = ["Check", "Report", "Section", "State", "diagnose", "explain_config"]


def diagnose(archive: str | os.PathLike[str] | None = None) -> Report:
    """Look at this machine, and at whether an archive can run on it.

    Nothing of the archive is imported or unpickled. PyTorch and the plugins are imported in
    processes of their own, so that the most broken of them breaks nothing here.

    Args:
        archive: A ``.mar``, a ``.tar.gz`` or a folder.
    """
    found = statuses()
    sections = [
        guarded("machine", check_machine),
        guarded("optional", check_optional),
        guarded("cache", check_cache),
        guarded("plugins", lambda: check_plugins(found)),
    ]
    if archive is None:
        return Report(sections=sections)
    sections.append(guarded("archive", lambda: check_here(archive, found)))
    return Report(archive=str(archive), sections=sections)
