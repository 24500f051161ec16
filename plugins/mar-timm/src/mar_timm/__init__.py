"""timm's models: a handler that does to pictures what each was trained with.

Importing this costs nothing: timm is imported where a model is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mar_core import ArchiveRequest, Imported, ModelSource

__all__ = ["mar_import", "mar_load_model", "mar_register_importers"]


@hookimpl
def mar_load_model(handler: Any, source: ModelSource) -> object | None:
    """Load the model of the handler that this plugin brings."""
    load = getattr(handler, "load_timm_model", None)
    return None if load is None else load(source)


@hookimpl
def mar_register_importers(register: Callable[[str], None]) -> None:
    """Say what is looked for."""
    register("a folder of timm's: config.json with an architecture")


@hookimpl(tryfirst=True)
def mar_import(source: Path, request: ArchiveRequest) -> Imported | None:
    """Take a folder of timm's, before it is taken for a transformer."""
    from mar_timm.importing import import_folder

    return import_folder(source, request)
