"""``densenet_handler``: tensors that another step of a workflow saved in, the model's tensors out.

It is the middle step of TorchServe's image workflow. The step before turns the image into a tensor
and saves it with ``torch.save``; the step after names the classes.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from mar_core import BaseHandler, bad_item, each_item, payload, stacked

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DenseNetHandler"]

_NUMPY = b"\x93NUMPY"


class DenseNetHandler(BaseHandler):
    """Runs a model on saved tensors.

    A request carries what ``torch.save`` or ``numpy.save`` wrote, a tensor, or nested lists. All of
    a batch have the same shape.
    """

    signature: ClassVar[Mapping[str, Any] | str | None] = {
        "inputs": [
            {
                "name": "data",
                "type": "tensor",
                "shape": None,
                "description": "A tensor as torch.save wrote it, an array as numpy.save wrote it, "
                "or nested lists.",
            }
        ],
        "outputs": [
            {
                "name": "tensor",
                "type": "tensor",
                "shape": None,
                "description": "The request's part of the model's output, a batch of one.",
            }
        ],
    }
    stages_independent = True
    reads_by_context = True
    model_options = True

    def preprocess(self, data: list[Any]) -> torch.Tensor:
        """Read a batch of saved tensors.

        Args:
            data: The requests.

        Returns:
            The tensors stacked, of shape ``[batch, …]`` and of their own dtype.

        Raises:
            PredictionException: An item holds no tensor, or the tensors differ in shape.
        """
        tensors = each_item(data, lambda row: _read(payload(row)))
        shapes = sorted({tuple(tensor.shape) for tensor in tensors})
        if len(shapes) > 1:
            raise bad_item(f"the tensors of one batch differ in shape: {shapes}")
        return stacked(tensors, self.device)

    def postprocess(self, data: torch.Tensor) -> list[torch.Tensor]:
        """Give each request its part of the output, as a batch of one.

        Args:
            data: The model's output, of shape ``[batch, …]``.

        Returns:
            For each item a tensor of shape ``[1, …]`` on the CPU.
        """
        return list(torch.split(data.detach().cpu(), 1))


def _read(value: Any) -> torch.Tensor:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _read_bytes(bytes(value))
    try:
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise bad_item(f"a {type(value).__name__} is no tensor") from error
    return tensor if tensor.is_floating_point() else tensor.float()


def _read_bytes(raw: bytes) -> torch.Tensor:
    if raw.startswith(_NUMPY):
        return _read_array(raw)
    try:
        value = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise bad_item(
            f"these {len(raw):,} bytes are no tensor that torch.save wrote; images are for "
            "image_classifier"
        ) from error
    if not isinstance(value, torch.Tensor):
        raise bad_item(f"here torch.save wrote a {type(value).__name__}, not a tensor")
    return value


def _read_array(raw: bytes) -> torch.Tensor:
    import numpy as np

    try:
        return torch.from_numpy(np.load(io.BytesIO(raw), allow_pickle=False))
    except (ValueError, TypeError, EOFError) as error:
        raise bad_item(
            f"these {len(raw):,} bytes are no array that numpy.save wrote: {error}"
        ) from error
