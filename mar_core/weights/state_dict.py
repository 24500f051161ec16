"""Reads the tensors of a weights file where they lie, and gives them to the network.

From a file they are mapped where the format allows it. Those that lie in the archive are views of
the mapped archive: nothing is written or copied. The mapping is private. Pages are shared with
every process that reads the same archive until somebody writes to one, and then the copy is that
process's own.
"""

from __future__ import annotations

import inspect
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from mar_core.errors import ModelError
from mar_core.text import first_line
from mar_core.weights.model_file import model_code_of
from mar_core.weights.registry import identify
from mar_core.weights.safetensors import view_safetensors

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch

    from mar_core.weights.weights_format import ModelSource

__all__ = ["fit", "load_eager", "load_state_dict", "read_weights", "weights_of"]

# The names under which training scripts put the weights among other things.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "weights")
# torch.save lays storages out at multiples of it, and PyTorch's kernels expect no less.
_ALIGNED = 64
# What DistributedDataParallel and torch.compile put before every name.
_TRAINING_PREFIXES = ("module.", "_orig_mod.")
_MOST_NAMED = 5


def load_eager(source: ModelSource) -> torch.nn.Module:
    """Build the network and give it its weights.

    ``handler._load_pickled_model`` does it wherever there is a model file, so that a handler can
    override it as in TorchServe.

    Raises:
        ModelError: There is neither a model file nor a pickled module, or the two do not fit.
    """
    if source.model_file is None:
        model = _load_whole(source)
    else:
        place = source.place_for("_load_pickled_model")
        path = str(place) if place else None
        model = source.handler._load_pickled_model(  # noqa: SLF001 - TorchServe's name for it
            str(source.files.unpack()), source.model_file, path
        )
    return model.to(source.device).eval()


def _load_whole(source: ModelSource) -> torch.nn.Module:
    if source.serialized_file is None:
        raise ModelError(
            "The archive names neither a model file nor a weights file: there is nothing to load.",
            hint="Give --model-file or --serialized-file, or override the handler's initialize.",
        )
    weights = weights_of(source, source.device)
    if isinstance(weights, dict):
        raise ModelError(
            f"{source.name} holds weights alone, not the network that they belong to.",
            hint="Archive it with --model-file, or export the model with torch.export.",
        )
    return weights


def weights_of(
    source: ModelSource, device: torch.device
) -> dict[str, torch.Tensor] | torch.nn.Module:
    """Read the weights of an archive, where they lie if that can be.

    Args:
        source: What is being loaded.
        device: Where the tensors go.

    Raises:
        ModelError: See ``read_weights``.
    """
    if source.in_place:
        content = _read_in_place(source, device)
        if content is not None:
            return _tensors_of(content, Path(source.name))
    path = cast("Path", source.path)
    return read_weights(path, device=device, trusted=source.trusted, source=source)


def read_weights(
    path: Path,
    *,
    device: torch.device,
    trusted: bool = False,
    source: ModelSource | None = None,
) -> dict[str, torch.Tensor] | torch.nn.Module:
    """Read a weights file; unpickle anything where the user trusts it and only that will do.

    Args:
        path: The file.
        device: Where its tensors go.
        trusted: Whether the user has said that what is in the file may run code.
        source: What is being loaded: the archive whose modules a pickle may name; its model file is
            where a class is looked for that a script pickled as its own, ``__main__``.

    Returns:
        The tensors by name, or the whole module that was pickled.

    Raises:
        ModelError: The file is damaged, or holds what is not safe to load.
    """
    with path.open("rb") as stream:
        kind = identify(stream).name
    if kind == "safetensors":
        return _read_safetensors(path, device)
    try:
        content = _read_torch(path, device, mapped=kind == "torch")
    except pickle.UnpicklingError as error:
        if not trusted:
            raise _unsafe(path, error) from error
        folder = path.parent if source is None else source.model_dir
        content = _unpickle(path, device, folder, source.model_file if source else None)
    return _tensors_of(content, path)


def load_state_dict(
    model: torch.nn.Module,
    model_pt_path: str,
    *,
    device: torch.device | str | None,
    source: ModelSource | None = None,
) -> None:
    """Give a network its weights, mapped from the file where that comes to the same as copying.

    Args:
        model: The network.
        model_pt_path: A state dict in any format that mar reads, or a checkpoint that wraps one.
        device: Where the weights go.
        source: What is being loaded; without it, nothing is trusted.

    Raises:
        ModelError: The file holds no state dict, is not safe to load, or does not fit the network.
    """
    import torch

    path, target = Path(model_pt_path), torch.device(device or "cpu")
    if source is not None and path == source.files.folder / source.name:
        weights = weights_of(source, target)
    else:
        trusted = source is not None and source.trusted
        weights = read_weights(path, device=target, trusted=trusted, source=source)
    state = weights.state_dict() if isinstance(weights, torch.nn.Module) else weights
    fit(model, state, name=path.name)


def _read_in_place(source: ModelSource, device: torch.device) -> Any:
    """What a weights file holds, as views of the archive; those for the CPU stay where they are.

    Returns:
        What ``torch.load(weights_only=True)`` gives, or the tensors by name; None where the file
        has to be read by its path.
    """
    if source.kind == "safetensors":
        return view_safetensors(source, device)
    return _view_torch(source, device) if source.kind == "torch" else None


def _view_torch(source: ModelSource, device: torch.device) -> Any:
    """Read by PyTorch's own reader and rules, which take a mapped storage but no part of a file.

    ``torch.load(mmap=True)`` calls the same function. It is not public: where it is missing or
    takes other arguments, and for everything that is refused, the file is read by its path.
    """
    import torch
    from torch import serialization

    load = getattr(serialization, "_load", None)
    unpickler = getattr(serialization, "_weights_only_unpickler", None)
    if load is None or unpickler is None:
        return None
    parameters = inspect.signature(load).parameters
    if not {"zip_file", "map_location", "overall_storage"} <= set(parameters):
        return None
    said = {"weights_only": True} if "weights_only" in parameters else {}
    try:
        with source.open() as stream:
            reader = torch._C.PyTorchFileReader(stream)  # noqa: SLF001
            return load(
                reader,
                device,
                unpickler,
                overall_storage=_storage(source),
                encoding="utf-8",
                **said,
            )
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError, KeyError):
        return None  # and what reads the path says what is wrong


def _storage(source: ModelSource) -> torch.UntypedStorage:
    """The bytes of the file as PyTorch has them; copied where they lie at an odd address."""
    import torch

    mapped = torch.frombuffer(source.view(), dtype=torch.uint8)
    return (mapped.clone() if mapped.data_ptr() % _ALIGNED else mapped).untyped_storage()


def _unpickle(path: Path, device: torch.device, model_dir: Path, model_file: str | None) -> Any:
    """Unpickle a file that the user trusts; this can run any code."""
    import torch

    code = model_code_of(model_dir)

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str, /) -> Any:
            if module == "__main__" and model_file:
                return getattr(code.import_file(model_file), name)
            return super().find_class(module, name)

    pickles = SimpleNamespace(Unpickler=Unpickler, load=pickle.load, __name__="pickle")
    try:
        with code.active():
            return torch.load(
                str(path), map_location=device, weights_only=False, pickle_module=pickles
            )
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"{path.name} was pickled with a class that is not here: {error}.",
            hint="Add the file that defines it, under the name that it had, with --extra-files; or "
            "with --model-file, if a script pickled a class of its own.",
        ) from error


def _read_safetensors(path: Path, device: torch.device) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device=str(device))
    except (SafetensorError, OSError, TypeError) as error:  # TypeError: a size past all numbers
        raise _damaged(path, error) from error


def _read_torch(path: Path, device: torch.device, *, mapped: bool) -> Any:
    import torch

    # The environment cannot weaken this: TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD is for calls that
    # leave weights_only open.
    try:
        return torch.load(str(path), map_location=device, mmap=mapped, weights_only=True)
    except (RuntimeError, ValueError, EOFError, OSError, KeyError) as error:
        raise _damaged(path, error) from error


def _tensors_of(content: Any, path: Path) -> dict[str, torch.Tensor] | torch.nn.Module:
    import torch

    if isinstance(content, torch.nn.Module):
        return content
    candidates = [content]
    if isinstance(content, Mapping):
        candidates += [content[name] for name in _WRAPPERS if name in content]
    for candidate in candidates:
        if isinstance(candidate, torch.nn.Module):
            return candidate
        if _is_state(candidate):
            return dict(candidate)
    raise ModelError(
        f"{path.name} holds {_describe(content)}, not a state dict.",
        hint="Save it with `torch.save(model.state_dict(), …)`.",
    )


def _is_state(content: Any) -> bool:
    """A state dict maps names to tensors; modules may add a little extra state of their own."""
    import torch

    return (
        isinstance(content, Mapping)
        and all(isinstance(name, str) for name in content)
        and all(
            isinstance(value, torch.Tensor) or name.endswith("_extra_state")
            for name, value in content.items()
        )
    )


def _describe(content: Any) -> str:
    if isinstance(content, Mapping):
        keys = ", ".join(repr(key) for key in list(content)[:5])
        return f"a dict of {keys}" if keys else "an empty dict"
    return f"an object of {type(content).__name__}"


def _unsafe(path: Path, error: Exception) -> ModelError:
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    what = f" ({named[1]})" if named else ""
    return ModelError(
        f"{path.name} holds more than tensors{what}, and loading it could run any code.",
        hint="Save the state dict with `torch.save(model.state_dict(), …)`, or pass "
        "--trust (or --allow-pickle) if you trust whoever made the file.",
    )


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{path.name} cannot be read: {first_line(error)}.", hint="Save or download it again."
    )


def fit(model: torch.nn.Module, state: dict[str, torch.Tensor], *, name: str) -> None:
    """Load a state dict into a network.

    The tensors become the network's parameters as they are, mapped from the file, wherever copying
    them would give the same network.

    Args:
        model: The network.
        state: Tensors by name; prefixes of wrappers used in training are taken off.
        name: The weights file, for messages.

    Raises:
        ModelError: Names or shapes differ; the sentence lists them.
    """
    expected = model.state_dict()
    state = _without_prefixes(state, expected)
    try:
        if _can_assign(model, state, expected):
            model.load_state_dict(state, assign=True)
        else:
            model.load_state_dict(_with_tied(state, expected))
    except RuntimeError as error:
        raise ModelError(
            f"{name} does not fit {type(model).__name__}: "
            f"{_differences(state, expected) or error}.",
            hint="Give the model file that these weights were trained with.",
        ) from error


def _without_prefixes(
    state: dict[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    for _ in _TRAINING_PREFIXES:
        for prefix in _TRAINING_PREFIXES:
            wrapped = all(key.startswith(prefix) for key in state)
            if wrapped and not any(key.startswith(prefix) for key in expected):
                state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _can_assign(
    model: torch.nn.Module,
    state: Mapping[str, torch.Tensor],
    expected: Mapping[str, torch.Tensor],
) -> bool:
    """Copying converts types and keeps shared parameters shared; assigning does neither."""
    import torch

    shared = [tensor.data_ptr() for tensor in expected.values() if _is_plain(tensor)]
    return (
        type(model).load_state_dict is torch.nn.Module.load_state_dict
        and len(shared) == len(set(shared))
        and all(
            key in state and _is_plain(state[key]) and state[key].dtype == tensor.dtype
            for key, tensor in expected.items()
            if _is_plain(tensor)
        )
    )


def _is_plain(value: object) -> bool:
    """A tensor that has memory of its own."""
    import torch

    return isinstance(value, torch.Tensor) and value.device.type != "meta" and value.numel() > 0


def _with_tied(
    state: dict[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Add the names that safetensors leaves out because another name has the same tensor."""
    by_memory = {
        tensor.data_ptr(): state[key]
        for key, tensor in expected.items()
        if key in state and _is_plain(tensor)
    }
    tied = {
        key: by_memory[tensor.data_ptr()]
        for key, tensor in expected.items()
        if key not in state and _is_plain(tensor) and tensor.data_ptr() in by_memory
    }
    return {**state, **tied}


def _differences(
    state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> str | None:
    parts = [
        _list("missing", (key for key in expected if key not in state)),
        _list("unexpected", (key for key in state if key not in expected)),
        _list(
            "of another shape",
            (
                f"{key} ({_shape(state[key])} in the file, {_shape(tensor)} in the model)"
                for key, tensor in expected.items()
                if key in state and _shape(state[key]) != _shape(tensor)
            ),
        ),
    ]
    return "; ".join(part for part in parts if part)


def _shape(tensor: object) -> str:
    shape = getattr(tensor, "shape", None)
    return "×".join(map(str, shape)) if shape else "one number"


def _list(what: str, keys: Iterable[str]) -> str:
    found = list(keys)
    if not found:
        return ""
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return f"{len(found)} {what}: {', '.join(found[:_MOST_NAMED])}{more}"
