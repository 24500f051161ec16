"""CUDA graphs: what a network does on one shape is recorded once, and played from then on."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_SHAPES", "Graphed"]

logger = logging.getLogger(__name__)

# Each recording holds memory of its own for inputs and outputs: batches have few shapes as a rule.
MOST_SHAPES = 8
# PyTorch asks for a few calls on a side stream before one is recorded: libraries choose algorithms
# in the first.
WARM_UPS = 3


class Graphed:
    """Calls a network, by a recording of it where there is one for the input's shapes.

    Shapes beyond ``MOST_SHAPES``, inputs that are not on CUDA, and calls that ask for gradients go
    to the network itself. Threads take turns: a recording has one place for its input.

    Args:
        network: The network. What it does may depend on shapes alone, not on values.
        record: Makes a recording for an input; for tests, where there is no CUDA.
    """

    def __init__(
        self, network: Any, *, record: Callable[[Any, list[Any], Any], Any] | None = None
    ) -> None:
        self._network = network
        self._record = record or _Recording
        self._on_cpu_too = record is not None
        self._recordings: dict[Any, Any] = {}
        self._lock = threading.Lock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network; the outputs are the caller's own."""
        import torch
        from torch.utils._pytree import tree_flatten

        leaves, spec = tree_flatten((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        fit = bool(tensors) and all(one.is_cuda or self._on_cpu_too for one in tensors)
        if not fit or torch.is_grad_enabled():
            return self._network(*args, **kwargs)
        key = (str(spec), *map(_look, leaves))
        with self._lock:
            if key not in self._recordings and len(self._recordings) < MOST_SHAPES:
                self._recordings[key] = self._recorded(leaves, spec)
            recording = self._recordings.get(key)
            return self._network(*args, **kwargs) if recording is None else recording.play(leaves)

    def _recorded(self, leaves: list[Any], spec: Any) -> Any:
        """A recording; None where the network does what cannot be recorded."""
        try:
            return self._record(self._network, leaves, spec)
        except RuntimeError as error:
            logger.warning("handler.cuda_graphs has no effect on this shape: %s", error)
            return None


class _Recording:
    """One shape's."""

    def __init__(self, network: Any, leaves: list[Any], spec: Any) -> None:
        import torch
        from torch.utils._pytree import tree_unflatten

        # No inference tensors, which could be written to in inference mode alone.
        with torch.inference_mode(mode=False):
            self._inputs = [
                torch.empty_like(leaf).copy_(leaf) if isinstance(leaf, torch.Tensor) else leaf
                for leaf in leaves
            ]
        args, kwargs = tree_unflatten(self._inputs, spec)
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                network(*args, **kwargs)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        # Other threads copy and decode meanwhile: what they ask of CUDA must not end the recording.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._output = network(*args, **kwargs)

    def play(self, leaves: list[Any]) -> Any:
        """The output for other inputs of the same shapes."""
        import torch
        from torch.utils._pytree import tree_map_only

        for place, leaf in zip(self._inputs, leaves, strict=True):
            if isinstance(leaf, torch.Tensor):
                place.copy_(leaf)
        self._graph.replay()
        # The next play overwrites what this one has left.
        return tree_map_only(torch.Tensor, torch.clone, self._output)


def _look(leaf: Any) -> Any:
    """What of an input a recording depends on."""
    import torch

    if isinstance(leaf, torch.Tensor):
        return tuple(leaf.shape), leaf.dtype, leaf.device, leaf.stride()
    return repr(leaf)
