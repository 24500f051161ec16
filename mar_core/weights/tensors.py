"""Finds the tensors among the stand-ins of a walked pickle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mar_core.weights.symbols import Global, Made, OrderedMap, Storage

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FoundTensor", "find_tensors"]

_MAX_NODES = 2_000_000
_MAX_PATH = 64
# Where a module keeps what people know by shorter names.
_SILENT = {"_parameters", "_buffers", "_modules"}
_WRAPPERS = {"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state",
             "torch.nn.parameter.Parameter"}  # fmt: skip
_TENSORS = {"torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2",
            "torch._utils._rebuild_tensor_v3", "torch._utils._rebuild_qtensor"}  # fmt: skip
_V3 = "torch._utils._rebuild_tensor_v3"
_V3_DTYPE = 6


@dataclass(frozen=True, slots=True)
class FoundTensor:
    """A tensor as a pickle describes it; offset and strides count elements."""

    name: str
    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def find_tensors(root: Any) -> Iterator[FoundTensor]:
    """Every tensor below a value, with the path that leads to it.

    A value that is reached twice is reported once for each name in a map, and followed once.

    Args:
        root: What ``walk_pickle`` made.

    Raises:
        ValueError: A tensor is described in a way that torch never writes.
    """
    todo: list[tuple[str, Any]] = [("", root)]
    seen: set[int] = set()
    for _ in range(_MAX_NODES):
        if not todo:
            return
        name, value = todo.pop()
        value = _unwrapped(value)
        if isinstance(value, Made) and str(value.maker) in _TENSORS:
            yield _tensor(name, value)
        elif id(value) not in seen and isinstance(value, (dict, list, tuple, Made)):
            seen.add(id(value))
            todo.extend(reversed(list(_children(name, value))))


def _unwrapped(value: Any) -> Any:
    """The tensor inside a ``Parameter`` or a tensor with attributes."""
    for _ in range(_MAX_PATH):
        if not isinstance(value, Made):
            return value
        maker, args = str(value.maker), value.args
        if maker in _WRAPPERS and args:
            value = args[0]
        elif maker == "torch._tensor._rebuild_from_type_v2" and len(args) > 2:  # noqa: PLR2004
            value = Made(args[0], args[2])
        else:
            return value
    return value


def _children(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield _join(name, key), child
        if isinstance(value, OrderedMap) and not isinstance(value.state, dict):
            return
        state = value.state if isinstance(value, OrderedMap) else {}
        for key, child in state.items():
            if key != "_metadata":
                yield _join(name, key), child
    elif isinstance(value, Made):
        yield name, value.state
        yield name, value.args
    elif len(value) == 1:
        yield name, value[0]
    else:
        for index, child in enumerate(value):
            yield _join(name, index), child


def _join(name: str, key: Any) -> str:
    if key in _SILENT:
        return name
    text = str(key)[:200]
    return f"{name}.{text}"[:1000] if name else text


def _tensor(name: str, value: Made) -> FoundTensor:
    if not isinstance(value.args, tuple) or len(value.args) < 4:  # noqa: PLR2004
        raise ValueError(f"its tensor {name!r} is described incompletely")
    storage, offset, shape, strides = value.args[:4]
    whole = _are_sizes(shape) and _are_sizes(strides) and len(shape) == len(strides)
    if not isinstance(storage, Storage) or not _are_sizes((offset,)) or not whole:
        raise ValueError(f"its tensor {name!r} is described in a way that torch never writes")
    dtype = storage.dtype
    if str(value.maker) == _V3 and len(value.args) > _V3_DTYPE:
        kind = value.args[_V3_DTYPE]
        dtype = kind.name.removeprefix("torch.") if isinstance(kind, Global) else dtype
    return FoundTensor(name, storage, dtype, offset, tuple(shape), tuple(strides))


def _are_sizes(values: Any) -> bool:
    return isinstance(values, tuple) and all(type(v) is int and v >= 0 for v in values)
