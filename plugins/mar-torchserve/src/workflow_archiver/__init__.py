"""TorchServe's ``workflow_archiver``: workflows and their handler in one ``.war``."""

from __future__ import annotations

from workflow_archiver.version import __version__

__all__ = ["__version__"]
