"""Inputs that count as done though they are not what they were."""

from __future__ import annotations

import os
import warnings

from mar_core.errors import MarWarning
from mar_core.findings import printable

__all__ = ["ChangedSources"]

NAMED = 3


class ChangedSources:
    """Notes which sources of skipped inputs have changed since the run that did them.

    Args:
        since: When that run began, in nanoseconds; 0 notes nothing.
    """

    def __init__(self, since: int) -> None:
        self._since = since
        self._source = ""
        self._count = 0
        self._names: list[str] = []

    def opened(self, source: str) -> None:
        """The inputs that follow are of this source."""
        self._source = source

    def skipped(self) -> None:
        """An input of the source was done before."""
        source, self._source = self._source, ""  # it is looked at once
        if not self._since or not source:
            return
        try:
            # Not the time of its content: that of a file which is moved here can be any.
            changed = os.stat(source).st_ctime_ns  # noqa: PTH116 - each of a million files
        except (OSError, ValueError):  # a URL, or standard input
            return
        if changed > self._since:
            self._count += 1
            if len(self._names) < NAMED:
                self._names.append(printable(source))

    def warn(self) -> None:
        """Say what has changed, if anything has."""
        if not self._count:
            return
        names = ", ".join(self._names)
        if self._count > len(self._names):
            names += f" and {self._count - len(self._names):,} more"
        warnings.warn(
            f"Changed since the run that is resumed began, and not run again: {names}. Their rows "
            "may be of what they held before; --force in place of --resume starts afresh.",
            MarWarning,
            stacklevel=2,
        )
