"""The version of torch-model-archiver that this package stands in for."""

from __future__ import annotations

__all__ = ["__version__"]

# Manifests carry it as ``archiverVersion``; test suites compare the two.
__version__ = "0.12.0"
