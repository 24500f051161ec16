"""JSON, CSV and NPY to arrays and back, as the default functions of SageMaker's container do."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import torch

from mar_core import PredictionException
from mar_endpoints.bodies import CSV, JSON, NPY, accepted, media_type

__all__ = ["decode", "encode"]

BAD_REQUEST, UNSUPPORTED = 400, 415


def decode(body: str | bytes, content_type: str) -> torch.Tensor | dict[str, Any]:
    """The tensor that a body holds: float32 of JSON and CSV, and of NPY what it says.

    A JSON object stays one, as in SageMaker's container for Hugging Face's models. NPY files with
    pickled objects in them are refused: they come from a client.

    Raises:
        PredictionException: It is of another type, or not what its type says.
    """
    kind = media_type(content_type)
    if kind not in {JSON, CSV, NPY}:
        raise _unsupported(content_type)
    try:
        if kind == JSON:
            value = json.loads(body)
            if isinstance(value, dict):
                return value
            return torch.as_tensor(np.array(value, dtype=np.float32))
        if kind == CSV:
            rows = np.genfromtxt(io.StringIO(str(body)), delimiter=",", dtype=np.float32)
            return torch.as_tensor(rows)
        raw = body.encode() if isinstance(body, str) else body
        return torch.from_numpy(np.load(io.BytesIO(raw), allow_pickle=False))
    except (ValueError, TypeError, EOFError, RecursionError) as error:
        message = f"The body is not {kind} that holds numbers: {_first_line(error)}."
        raise PredictionException(message, BAD_REQUEST) from error


def encode(prediction: Any, accept: str) -> tuple[bytes, str]:
    """A prediction in the first type of an Accept header that is known.

    Returns:
        The bytes, and what they are.

    Raises:
        PredictionException: None is known, or the prediction does not fit it.
    """
    if isinstance(prediction, torch.Tensor):
        prediction = prediction.detach().cpu()
        prediction = prediction.float() if prediction.dtype is torch.bfloat16 else prediction
        prediction = prediction.numpy().tolist()
    kind = next((kind for kind in accepted(accept) if kind in {JSON, CSV, NPY}), None)
    if kind is None:
        raise _unsupported(accept)
    try:
        if kind == JSON:
            return json.dumps(prediction, default=lambda value: value.tolist()).encode(), kind
        return (_csv(prediction) if kind == CSV else _npy(prediction)), kind
    except (ValueError, TypeError, AttributeError) as error:
        message = f"The prediction cannot be written as {kind}: {_first_line(error)}."
        raise PredictionException(message, UNSUPPORTED) from error


def _csv(prediction: Any) -> bytes:
    stream = io.StringIO()
    np.savetxt(stream, np.atleast_1d(prediction), delimiter=",", fmt="%s")
    return stream.getvalue().encode()


def _npy(prediction: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, prediction, allow_pickle=False)
    return stream.getvalue()


def _unsupported(kinds: str) -> PredictionException:
    return PredictionException(f"{kinds} is none of {JSON}, {CSV} and {NPY}.", UNSUPPORTED)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
