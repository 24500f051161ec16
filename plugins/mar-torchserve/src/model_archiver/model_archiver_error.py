"""The one error that torch-model-archiver raises on purpose."""

from __future__ import annotations

__all__ = ["ModelArchiverError"]


class ModelArchiverError(Exception):
    """A name, a place or a set of files is not as it must be.

    Args:
        message: What is wrong.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
