"""timm's models: a handler that does to pictures what each was trained with.

Importing this costs nothing: timm is imported where a model is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mar_core import ArchiveRequest, Imported

__all__ = ["mar_import", "mar_register_importers"]


@hookimpl
def mar_register_importers(register: Callable[[str], None]) -> None:
    """Say what is looked for."""
    register("a folder of timm's: config.json with an architecture")


@hookimpl(tryfirst=True)
def mar_import(source: Path, request: ArchiveRequest) -> Imported | None:
    """Take a folder of timm's, before it is taken for a transformer."""
    from mar_timm.importing import import_folder

    return import_folder(source, request)
