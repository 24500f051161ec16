"""An ONNX model as a ``torch.nn.Module``: tensors in, tensors out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import torch

from mar_core import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["OnnxModel", "load"]

logger = logging.getLogger(__name__)

_PROVIDERS = {"cuda": "CUDAExecutionProvider", "mps": "CoreMLExecutionProvider"}
_CPU = "CPUExecutionProvider"
_QUIET = 3
# ONNX's names of the types that NumPy has.
_TYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
    "tensor(int8)": np.int8, "tensor(int16)": np.int16, "tensor(int32)": np.int32,
    "tensor(int64)": np.int64, "tensor(uint8)": np.uint8, "tensor(uint16)": np.uint16,
    "tensor(uint32)": np.uint32, "tensor(uint64)": np.uint64, "tensor(bool)": np.bool_,
}  # fmt: skip


class OnnxModel(torch.nn.Module):
    """Calls an onnxruntime session as PyTorch's modules are called.

    Inputs are given by position or by the model's own names, and are cast to the types that it
    wants. A model that was exported for one batch size is called as often as that asks for; a last
    batch that is short is filled up with copies of its last item.

    In TorchServe a handler's model is the session itself: its ``run``, ``get_inputs`` and
    ``get_outputs`` are here, too.

    Args:
        session: The session.

    Attributes:
        session: The same.
        input_names: The names of what it takes.
        output_names: The names of what it gives.
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        super().__init__()
        self.session = session
        self.run, self.get_inputs = session.run, session.get_inputs
        self.get_outputs = session.get_outputs
        inputs = session.get_inputs()
        self.input_names = [item.name for item in inputs]
        self.output_names = [item.name for item in session.get_outputs()]
        self._types = {item.name: _TYPES.get(item.type) for item in inputs}
        sizes = {item.shape[0] if item.shape else None for item in inputs}
        size = sizes.pop() if len(sizes) == 1 else None
        self._batch_size = size if isinstance(size, int) and size > 0 else None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model.

        Args:
            *args: Tensors in the order of ``input_names``.
            **kwargs: Tensors by those names.

        Returns:
            The one output as a tensor on the device of the first input, or a dict of all of them
            by name where there are several. What is no tensor stays as onnxruntime gives it.

        Raises:
            TypeError: An input is missing, or one is not known.
        """
        given = {**dict(zip(self.input_names, args, strict=False)), **kwargs}
        if len(args) > len(self.input_names) or set(given) != set(self.input_names):
            raise TypeError(
                f"the ONNX model takes {', '.join(self.input_names)}; it was given "
                f"{len(args)} by position and {', '.join(kwargs) or 'none'} by name"
            )
        device = next((value.device for value in given.values() if hasattr(value, "device")), "cpu")
        feed = {name: self._array(name, value) for name, value in given.items()}
        outputs = [_tensor(output, device) for output in self._run(feed)]
        return (
            outputs[0] if len(outputs) == 1 else dict(zip(self.output_names, outputs, strict=True))
        )

    def _array(self, name: str, value: Any) -> np.ndarray[Any, Any]:
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu().numpy()
        return np.ascontiguousarray(value, dtype=self._types[name])

    def _run(self, feed: dict[str, np.ndarray[Any, Any]]) -> Sequence[Any]:
        size, total = self._batch_size, len(next(iter(feed.values()), ()))
        if size is None or total == size:
            return self.session.run(None, feed)  # type: ignore[no-any-return]
        starts = range(0, total, size)
        parts = [self.session.run(None, _part(feed, start, size)) for start in starts]
        return [_joined(column)[:total] for column in zip(*parts, strict=True)]


def load(path: Path, device: torch.device | str) -> OnnxModel:
    """Load an ONNX file.

    Args:
        path: The file; data that it keeps in other files lies beside it.
        device: Where to run; the CPU where onnxruntime has nothing for it.

    Raises:
        ModelError: onnxruntime cannot load it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = _QUIET
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=providers_for(torch.device(device))
        )
    except Exception as error:  # onnxruntime's errors share no class but this
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise ModelError(
            f"{path.name} is an ONNX model that onnxruntime {onnxruntime.__version__} cannot load: "
            f"{reason}.",
            hint="Export it again, or upgrade onnxruntime.",
        ) from error
    return OnnxModel(session)


def providers_for(device: torch.device) -> list[Any]:
    """The execution providers for a device, the CPU's last."""
    wanted = _PROVIDERS.get(device.type)
    if wanted is None:
        return [_CPU]
    if wanted not in onnxruntime.get_available_providers():
        logger.warning(
            "onnxruntime has no %s here, so the ONNX model runs on the CPU; for CUDA, "
            "`pip install 'mar-onnx[gpu]'`.",
            wanted,
        )
        return [_CPU]
    options = {"device_id": device.index or 0} if device.type == "cuda" else {}
    return [(wanted, options), _CPU]


def _part(
    feed: dict[str, np.ndarray[Any, Any]], start: int, size: int
) -> dict[str, np.ndarray[Any, Any]]:
    """The inputs of one call, filled up to the size that the model takes."""
    parts = {name: array[start : start + size] for name, array in feed.items()}
    return {
        name: np.concatenate([part, part[-1:].repeat(size - len(part), axis=0)])
        for name, part in parts.items()
    }


def _joined(column: Sequence[Any]) -> Any:
    """One output of several calls: arrays, or the lists that some operators give."""
    if isinstance(column[0], np.ndarray):
        return np.concatenate(column)
    return [item for part in column for item in part]


def _tensor(output: Any, device: torch.device | str) -> Any:
    if not isinstance(output, np.ndarray) or output.dtype == object:
        return output
    return torch.from_numpy(output).to(device)
