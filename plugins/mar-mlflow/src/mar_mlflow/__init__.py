"""Knows the folders that MLflow saves models to, by their ``MLmodel``."""

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
    register("an MLflow model: MLmodel with the flavour pytorch or python_function")


@hookimpl
def mar_import(source: Path, request: ArchiveRequest) -> Imported | None:
    """Take an MLflow model; mlflow is not imported."""
    from mar_mlflow.importing import imported

    return imported(source, request)
