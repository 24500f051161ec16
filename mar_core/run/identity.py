"""What makes the rows of an output: a run can be resumed by nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from mar_core.format.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from mar_core.format import Archive
    from mar_core.records import ReadOptions
    from mar_core.runtime.recipe import Recipe

__all__ = ["identity_of"]

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
    """The manifest's digest where it names every member; else one over the members."""
    listed = archive.manifest.mar.get("members")
    others = archive.members.keys() - {MANIFEST_NAME}
    if isinstance(listed, dict) and listed.keys() == others:
        return archive.manifest.digest
    digest = hashlib.sha256(archive.manifest.to_bytes())
    for name in sorted(others):
        digest.update(f"\0{name}\0{archive.members[name].size}\0".encode())
        with archive.open(name) as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
