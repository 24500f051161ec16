"""The one error that torch-workflow-archiver raises on purpose."""

from __future__ import annotations

__all__ = ["WorkflowArchiverError"]


class WorkflowArchiverError(Exception):
    """A name or a place is not as it must be."""
