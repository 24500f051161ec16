"""Holds an archive against the built-in rules, one family after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.checks import config, manifest, references, requirements, sources, weights
from mar_core.checks.subject import Subject
from mar_core.findings import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.findings import Finding
    from mar_core.format import Archive

__all__ = ["check"]

_FAMILIES = (
    manifest.check,
    references.check,
    weights.check,
    sources.check,
    config.check,
    requirements.check,
)


def check(archive: Archive) -> Iterator[Finding]:
    """What the built-in rules find in an archive.

    Args:
        archive: The archive, open.
    """
    subject = Subject(archive)
    for family in _FAMILIES:
        yield from _guarded(family(subject))


def _guarded(found: Iterator[Finding]) -> Iterator[Finding]:
    """The findings; when a member turns out to be damaged while it is read, that one too."""
    try:
        yield from found
    except ValidationError as error:
        yield from error.findings
