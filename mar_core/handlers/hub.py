"""Hugging Face's hub, which no archive asks: what is not in the archive is an error."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["hub_offline", "keep_hub_offline"]

# Libraries read the variable once, when they import huggingface_hub; from then on its constant
# counts.
_VARIABLE = "HF_HUB_OFFLINE"
_lock = threading.Lock()


@contextmanager
def hub_offline() -> Iterator[None]:
    """Load a model without asking Hugging Face's hub, whatever a config names.

    Import the library inside. Whoever loads an archive in a process of their own gets the hub back
    afterwards. One thread at a time.

    Example:
        >>> with hub_offline():
        ...     import timm
        ...
        ...     model = timm.create_model(f"local-dir:{folder}", pretrained=True)
    """
    with _lock:
        before, offline = os.environ.get(_VARIABLE), _is_offline()
        _switch_off()
        try:
            yield
        finally:
            constants = _constants()
            if constants is not None:  # also where it was imported inside
                constants.HF_HUB_OFFLINE = offline
            if before is None:
                del os.environ[_VARIABLE]
            else:
                os.environ[_VARIABLE] = before


def keep_hub_offline() -> None:
    """Never ask Hugging Face's hub in this process again, for models that would do so at work."""
    with _lock:
        _switch_off()


def _switch_off() -> None:
    os.environ[_VARIABLE] = "1"
    constants = _constants()
    if constants is not None:
        constants.HF_HUB_OFFLINE = True


def _is_offline() -> bool:
    """Whether huggingface_hub is offline, or would be if it were imported now."""
    constants = _constants()
    if constants is not None:
        return bool(constants.HF_HUB_OFFLINE)
    said = os.environ.get(_VARIABLE) or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in {"1", "ON", "YES", "TRUE"}


def _constants() -> Any:
    return sys.modules.get("huggingface_hub.constants")
