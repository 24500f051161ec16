"""Where an archive comes from: recorded in it, and written beside it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mar_core import ExtraFile, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    import typer

    from mar_core import ArchiveRequest

__all__ = ["mar_archive_written", "mar_collect_files", "mar_register_commands"]

MEMBER = "MAR-INF/provenance.json"
VARIABLE = "MAR_PROVENANCE"


@hookimpl
def mar_collect_files(request: ArchiveRequest) -> list[ExtraFile]:
    """Add what is known of the sources, where the user asks for it."""
    if not _is_wanted():
        return []
    import json

    from mar_provenance.collect import provenance

    content = json.dumps(provenance(request), indent=2, sort_keys=True)
    return [ExtraFile(name=MEMBER, content=content.encode())]


@hookimpl
def mar_archive_written(path: Path) -> None:
    """Write the archive's checksum beside it, as ``sha256sum`` does."""
    if _is_wanted() and path.is_file():
        from mar_provenance.checksum import write_checksum

        write_checksum(path)


@hookimpl
def mar_register_commands(app: typer.Typer) -> None:
    """Add ``mar provenance``."""
    from mar_provenance.command import provenance

    app.command("provenance")(provenance)


def _is_wanted() -> bool:
    return os.environ.get(VARIABLE, "0") not in {"", "0"}
