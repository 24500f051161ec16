"""Rules on sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.findings import Finding
    from mar_core.rules.subject import Subject

__all__ = ["check"]


def check(subject: Subject) -> Iterator[Finding]:
    """What is wrong."""
    yield from ()
