"""What a run that is resumed must share with its beginning: what makes its rows, and the inputs."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from typing import TYPE_CHECKING

from mar_core.errors import MarWarning
from mar_core.format.manifest import MANIFEST_NAME
from mar_core.format.view import listed_digests
from mar_core.text import printable

if TYPE_CHECKING:
    from mar_core.format import Archive
    from mar_core.records import ReadOptions
    from mar_core.runtime.recipe import Recipe

__all__ = ["ChangedSources", "identity_of"]

NAMED = 3
CHUNK = 1 << 20


def identity_of(
    archive: Archive,
    recipe: Recipe,
    reading: ReadOptions,
    *,
    explain: bool,
    top: int | None = None,
    truth: str | None = None,
) -> str:
    """A digest of the archive and of the settings that change results.

    The device, the batch size and the number of workers are not among them.

    Args:
        archive: The archive.
        recipe: How it is loaded.
        reading: How inputs are read.
        explain: Whether explanations are asked for.
        top: How many of the best labels are kept.
        truth: What says what the inputs really are.
    """
    said = {
        "archive": _content(archive),
        "envelope": recipe.envelope,
        "explain": explain,
        "column": reading.column,
        "rows": [reading.raw, reading.lines, list(reading.keep), top, truth],
        "field": reading.field_name,
        "content_type": reading.content_type,
        "headers": sorted(reading.headers.items()),
    }
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _content(archive: Archive) -> str:
    """The manifest's digest where it has that of every member; else one over the members.

    A packed member is compared with its digest before it is used. One that lies in a folder may
    have been changed since, which is a warning there.
    """
    others = archive.members.keys() - {MANIFEST_NAME}
    if archive.kind in {"zip", "tgz"} and listed_digests(archive).keys() == others:
        return archive.manifest.digest
    digest = hashlib.sha256(archive.manifest.to_bytes())
    for name in sorted(others):
        digest.update(f"\0{name}\0{archive.members[name].size}\0".encode())
        with archive.open(name) as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


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
