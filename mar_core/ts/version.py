"""The TorchServe whose behaviour handlers find here: ``ts.version``."""

from __future__ import annotations

from mar_core.ts.context import SERVER_VERSION

__all__ = ["__version__"]

__version__ = SERVER_VERSION
