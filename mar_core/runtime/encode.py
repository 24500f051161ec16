"""Results as the bodies of HTTP answers, made as TorchServe's worker makes them."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

from mar_core.errors import HandlerError
from mar_core.runtime.values import to_json

__all__ = ["encode"]

_BYTES = (bytes, bytearray, memoryview)


def encode(value: Any) -> tuple[bytes, bool]:
    """A result as a body, and whether it is JSON that was made here.

    Text and bytes go as they are, a tensor as ``torch.save`` writes it; all else becomes JSON,
    indented by two spaces, in ASCII. What TorchServe cannot write, arrays for example, goes as
    ``mar run`` writes it.

    Raises:
        HandlerError: It cannot be written down.
    """
    if isinstance(value, str):
        return value.encode("utf-8", errors="surrogatepass"), False
    if isinstance(value, _BYTES):
        return bytes(value), False
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        buffer = io.BytesIO()
        torch.save(value, buffer)
        return buffer.getvalue(), False
    try:
        return json.dumps(value, indent=2).encode(), True
    except (TypeError, ValueError, RecursionError):
        return _plain(value), True


def _plain(value: Any) -> bytes:
    try:
        return json.dumps(to_json(value), indent=2).encode()
    except (ValueError, RecursionError) as error:
        raise HandlerError(
            f"The handler's result cannot be written as JSON: {error}.", stage="result"
        ) from error
