"""Embeddings and rerankers of sentence-transformers: two handlers, and OpenAI's path for them.

Importing this costs nothing: sentence-transformers is imported where a model is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mar_core import ArchiveRequest, Imported

__all__ = ["mar_extend_server", "mar_import", "mar_register_importers"]


@hookimpl
def mar_register_importers(register: Callable[[str], None]) -> None:
    """Say what is looked for."""
    register("a folder that sentence-transformers saved: modules.json")


@hookimpl(tryfirst=True)
def mar_import(source: Path, request: ArchiveRequest) -> Imported | None:
    """Take a folder that sentence-transformers has saved, before it is taken for a transformer."""
    from mar_sentence_transformers.importing import import_folder

    return import_folder(source, request)


@hookimpl
def mar_extend_server(server: Any) -> object:
    """Add ``/v1/embeddings``."""
    from mar_sentence_transformers.openai import OpenAIPaths

    return OpenAIPaths(server)
