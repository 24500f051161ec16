"""Models of Hugging Face transformers in archives: the handler, and what an archive lacks.

Names are loaded when they are first used: finding the plugin imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from mar_core import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mar_core import Archive, ArchiveRequest, Finding, Imported
    from mar_transformers.handler import TransformersHandler as TransformersHandler
    from mar_transformers.options import OPTIONS as OPTIONS
    from mar_transformers.options import Options as Options
    from mar_transformers.running import Answer as Answer

__all__ = [
    "OPTIONS",
    "Answer",
    "Options",
    "TransformersHandler",
    "mar_import",
    "mar_register_importers",
    "mar_validate_archive",
]

_HOME = {
    "Answer": "mar_transformers.running",
    "OPTIONS": "mar_transformers.options",
    "Options": "mar_transformers.options",
    "TransformersHandler": "mar_transformers.handler",
}

_HANDLER = "transformers"


@hookimpl
def mar_register_importers(register: Callable[[str], None]) -> None:
    """Say what is looked for."""
    register("a model of transformers: a folder with config.json")


@hookimpl
def mar_import(source: Path, request: ArchiveRequest, folder: Path) -> Imported | None:
    """Take a folder that `save_pretrained` has written."""
    from mar_transformers.importing import import_folder

    return import_folder(source, request, folder)


@hookimpl
def mar_validate_archive(archive: Archive) -> Iterator[Finding]:
    """Find what transformers would look for on the hub: nothing is downloaded while running."""
    from mar_core import ArchiveError, Finding, SavedFiles, Severity
    from mar_transformers.files import missing

    try:
        handler, weights = archive.manifest.handler, archive.manifest.serialized_file
    except ArchiveError:  # mar's own rules say what is wrong with it
        return
    if handler != _HANDLER:
        return

    for sentence in missing(SavedFiles.in_archive(archive), weights=weights):
        yield Finding(
            code="TRANSFORMERS-001",
            message=sentence,
            severity=Severity.ERROR,
            hint="Pack everything that save_pretrained has saved: `mar archive --from FOLDER`.",
        )


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
