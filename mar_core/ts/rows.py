"""From requests to a tensor, for handlers whose input is numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mar_core.ts.device import stacked, to_device
from mar_core.ts.payload import payload
from mar_core.ts.util import PredictionException

if TYPE_CHECKING:
    import torch

__all__ = ["as_tensor"]

BAD_REQUEST = 400


def as_tensor(rows: Any, device: torch.device | None) -> torch.Tensor:
    """One tensor of shape ``(batch, …)`` made of requests or of bare values.

    Args:
        rows: The requests, or anything that ``torch.as_tensor`` takes.
        device: Where the tensor goes.

    Raises:
        PredictionException: A request has neither ``data`` nor ``body``, or the values do not make
            a tensor.
    """
    import torch

    if not isinstance(rows, Sequence) or isinstance(rows, (str, bytes)):
        return torch.as_tensor(rows, device=device)
    values = [_numbers(_innermost(row)) for row in rows]
    try:
        if values and all(hasattr(value, "__array__") for value in values):  # tensors and arrays
            return stacked([torch.as_tensor(value) for value in values], device)
        return to_device(torch.as_tensor(values), device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PredictionException(
            f"The values do not make one tensor of numbers: {error}.", BAD_REQUEST
        ) from error


def _innermost(value: Any) -> Any:
    """What a request carries; JSON in it may be such a request again."""
    while isinstance(value, Mapping):
        value = payload(value)
    return value


def _numbers(value: Any) -> Any:
    """A value as numbers; text is taken for JSON."""
    if not isinstance(value, (str, bytes, bytearray)):
        return value
    try:
        return _innermost(json.loads(value))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise PredictionException(
            "The request holds text or bytes that are not JSON, where numbers are expected.",
            BAD_REQUEST,
        ) from error
