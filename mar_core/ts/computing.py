"""How a network computes: its dtype, its memory format and CUDA graphs, as `handler:` says."""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError
from mar_core.ts.options import MODEL_OPTIONS, handler_options

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

__all__ = ["MOST_SHAPES", "Computing", "Graphed", "ModelOptions", "computing", "model_options"]

# Pictures: batch, channels, height, width.
PICTURES = 4
logger = logging.getLogger(__name__)

# Each recording holds memory of its own for inputs and outputs: batches have few shapes as a rule.
MOST_SHAPES = 8
# PyTorch asks for a few calls on a side stream before one is recorded: libraries choose algorithms
# in the first.
WARM_UPS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """What `handler:` in model-config.yaml says of the network.

    Attributes:
        dtype: The dtype that it computes in; None leaves that to the weights.
        channels_last: Whether pictures and weights have their channels last in memory.
        cuda_graphs: Whether what it does on CUDA is recorded once a shape, and played from then on.
    """

    dtype: str | None = None
    channels_last: bool = False
    cuda_graphs: bool = False


def model_options(handler: object, config: dict[str, Any] | None) -> ModelOptions:
    """The options that a config gives to a handler's network.

    Args:
        handler: The handler; its class itself has to say ``model_options = True``, for the keys
            under `handler:` are those of the class.
        config: The archive's model-config.yaml.

    Raises:
        ModelError: A value is not what it may be.
    """
    if vars(type(handler)).get("model_options") is not True:
        return ModelOptions()
    name = type(handler).__name__
    return ModelOptions(**handler_options(config, MODEL_OPTIONS, handler=name, unknown="ignore"))


def computing(
    model: Any,
    options: ModelOptions,
    *,
    device: Any,
    autocast: bool = False,
    keeps_outputs: bool = False,
) -> Any:
    """A network that computes as the options say; itself where they say nothing.

    Args:
        model: The network, on its device. Its weights are converted in place.
        options: The options.
        device: Where it is.
        autocast: Leave the weights as they are, and let ``torch.autocast`` choose where the dtype
            will do: for networks that hold operations which exist in float32 alone.
        keeps_outputs: Whether on CUDA it overwrites the outputs of its call before.

    Raises:
        ModelError: It is no network whose weights can be converted.
    """
    import torch

    on_cuda = torch.device(device).type == "cuda"
    graphs, clones = options.cuda_graphs and on_cuda, keeps_outputs and on_cuda
    if options.dtype is None and not (options.channels_last or graphs or clones):
        return model
    if not isinstance(model, torch.nn.Module):
        raise ModelError(
            f"model-config.yaml asks for handler.{_first(options)}, and the model is a "
            f"{type(model).__name__}, which keeps the dtypes and layouts that it was made for.",
            hint="Leave the option out, or export the network anew.",
        )
    dtype = None if options.dtype is None else getattr(torch, options.dtype)
    if dtype is not None and not autocast:
        model = model.to(dtype)
    if options.channels_last:
        model = model.to(memory_format=torch.channels_last)
    return Computing(
        model,
        dtype=dtype,
        channels_last=options.channels_last,
        autocast=autocast,
        graphs=graphs,
        clones=clones,
    )


class Computing:
    """Gives a network its inputs as it computes, and its outputs to others as float32.

    Whatever else is asked of it, it asks of the network.

    Args:
        network: The network.
        dtype: The dtype that floating inputs are turned into, and outputs back from; None leaves
            both as they are.
        channels_last: Whether inputs of four dimensions get their channels last in memory.
        autocast: Whether ``torch.autocast`` chooses the dtype.
        graphs: Whether CUDA graphs are recorded.
        clones: Whether the network overwrites its outputs, so that others get copies.
    """

    def __init__(
        self,
        network: Any,
        *,
        dtype: torch.dtype | None,
        channels_last: bool = False,
        autocast: bool = False,
        graphs: bool = False,
        clones: bool = False,
    ) -> None:
        self.network = network
        self._clones = clones
        self._dtype = dtype
        self._channels_last = channels_last
        self._autocast = autocast
        self._call = network
        if graphs:
            from mar_core.ts.computing import Graphed

            self._call = Graphed(network)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network.

        Args:
            *args: Handed to it; tensors in it, also inside lists and mappings, as it wants them.
            **kwargs: The same, by name.

        Returns:
            What it returns, of floating tensors float32.
        """
        from torch.utils._pytree import tree_map

        args, kwargs = tree_map(self._as_input, (args, kwargs))
        with self._precision(args):
            output = self._call(*args, **kwargs)
        return tree_map(self._as_output, output)

    def __getattr__(self, name: str) -> Any:
        if name == "network":  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.network, name)

    def _as_input(self, value: Any) -> Any:
        import torch

        if not isinstance(value, torch.Tensor):
            return value
        if self._dtype is not None and not self._autocast and value.is_floating_point():
            value = value.to(self._dtype)
        if self._channels_last and value.dim() == PICTURES:
            value = value.contiguous(memory_format=torch.channels_last)
        return value

    def _as_output(self, value: Any) -> Any:
        import torch

        if not isinstance(value, torch.Tensor):
            return value
        turned = value.float() if self._dtype and value.is_floating_point() else value
        return turned.clone() if self._clones and turned is value else turned

    def _precision(self, args: Any) -> contextlib.AbstractContextManager[Any]:
        import torch

        if not self._autocast or self._dtype is None:
            return contextlib.nullcontext()
        device = _device_type(args)
        if self._dtype is torch.float32:
            return torch.autocast(device, enabled=False)
        return torch.autocast(device, self._dtype)


def _device_type(args: Any) -> str:
    import torch
    from torch.utils._pytree import tree_leaves

    kinds = [leaf.device.type for leaf in tree_leaves(args) if isinstance(leaf, torch.Tensor)]
    return kinds[0] if kinds else "cpu"


def _first(options: ModelOptions) -> str:
    given = {
        "dtype": options.dtype,
        "channels_last": options.channels_last,
        "cuda_graphs": options.cuda_graphs,
    }
    return next(name for name, value in given.items() if value)


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
