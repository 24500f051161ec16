"""The version of torch-workflow-archiver that this package stands in for."""

from __future__ import annotations

__all__ = ["__version__"]

# Manifests carry it as ``archiverVersion``.
__version__ = "0.2.15"
