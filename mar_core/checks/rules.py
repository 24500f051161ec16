"""The rules that come with mar, as the plugin ``mar-rules``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.findings import Finding
    from mar_core.format import Archive

__all__ = ["mar_validate_archive"]


@hookimpl(tryfirst=True)
def mar_validate_archive(archive: Archive) -> Iterator[Finding]:
    """Hold an archive against every built-in rule."""
    from mar_core.checks import book

    return book.check(archive)
