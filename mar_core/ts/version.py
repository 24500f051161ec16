"""``ts.version``: the TorchServe whose behaviour handlers find here."""

from __future__ import annotations

__all__ = ["SERVER_VERSION", "__version__"]

SERVER_VERSION = __version__ = "0.12.0"
