"""From the walk over a pickle to what is told of its file: faults, and a list of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core.weights.machine import Global, Made, OrderedMap, Storage
from mar_core.weights.rebuild import are_sizes
from mar_core.weights.weights_format import TensorInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mar_core.weights.pickles import PickleReport
    from mar_core.weights.weights_format import WeightsReport

__all__ = ["list_tensors", "note_pickle"]

_MAX_PATH = 64
# Where a module keeps what people know by shorter names.
_SILENT = {"_parameters", "_buffers", "_modules"}
_WRAPPERS = {"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state",
             "torch.nn.parameter.Parameter"}  # fmt: skip
_TENSORS = {"torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2",
            "torch._utils._rebuild_tensor_v3", "torch._utils._rebuild_qtensor"}  # fmt: skip
_V3 = "torch._utils._rebuild_tensor_v3"
_V3_DTYPE = 6
_FROM_TYPE = "torch._tensor._rebuild_from_type_v2"


def note_pickle(report: WeightsReport, walked: PickleReport, what: str, *, strict: bool) -> None:
    """Turn the walk over a pickle into faults.

    Args:
        report: Where they go.
        walked: The walk.
        what: What the sentence calls the pickle.
        strict: Whether torch's own unpickler will read it, which takes little.
    """
    if walked.forbidden:
        report.pickled_code.extend(walked.forbidden)
        names = ", ".join(walked.forbidden)
        report.fault("MAR-W003", f"Loading {what} imports or calls {names}.")
    elif walked.unchecked:
        report.fault("MAR-W005", _sentence(f"{what} is too long to be checked"))
    elif strict and walked.refused:
        names = ", ".join(walked.refused)
        report.fault("MAR-W004", f"A weights_only load of {what} does not take {names}.")
    if walked.fault and (strict or not walked.forbidden):
        report.fault("MAR-W006", _sentence(f"{what} cannot be read: {walked.fault}"))


def list_tensors(
    walked: PickleReport, starts: Mapping[str, int | None], report: WeightsReport
) -> None:
    """Put the tensors of a walked pickle into the report.

    Args:
        walked: The walk.
        starts: Where each storage begins in the file, by key.
        report: Where they go; a tensor that reaches beyond its storage is a fault.
    """
    try:
        for info in _found(walked.value, starts):
            if info.overruns:
                report.fault("MAR-W007", f"Its tensor {info.name!r} reaches beyond its storage.")
            report.tensors.append(info)
    except ValueError as error:
        report.fault("MAR-W007", _sentence(error))
    else:
        report.listed = not walked.fault and not walked.unchecked


def _sentence(words: object) -> str:
    """The words as a sentence."""
    text = str(words)
    return f"{text[:1].upper()}{text[1:]}."


def _found(root: Any, starts: Mapping[str, int | None]) -> Iterator[TensorInfo]:
    """Every tensor below a value, with the path that leads to it.

    A value that is reached twice is reported once for each name in a map, and followed once.

    Raises:
        ValueError: A tensor is described in a way that torch never writes.
    """
    if _is_tensor(root := _unwrapped(root)):
        yield _tensor("", root, starts)
        return
    todo: list[tuple[str, Iterator[tuple[Any, Any]]]] = [("", _children(root))]
    seen = {id(root)}
    while todo:
        name, children = todo[-1]
        key, child = next(children, (None, todo))
        if child is todo:
            todo.pop()
            continue
        child = _unwrapped(child)
        if _is_tensor(child):
            yield _tensor(_join(name, key), child, starts)
        elif isinstance(child, (dict, list, tuple, Made)) and id(child) not in seen:
            seen.add(id(child))
            todo.append((_join(name, key), _children(child)))


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Made) and str(value.maker) in _TENSORS


def _unwrapped(value: Any) -> Any:
    """The tensor inside a ``Parameter`` or a tensor with attributes."""
    for _ in range(_MAX_PATH):
        if not isinstance(value, Made) or type(value.args) is not tuple:
            return value
        maker, args = str(value.maker), value.args
        if maker in _WRAPPERS and args:
            value = args[0]
        elif maker == _FROM_TYPE and len(args) > 2 and isinstance(args[0], Global):  # noqa: PLR2004
            value = Made(args[0], args[2])
        else:
            return value
    return value


def _children(value: Any) -> Iterator[tuple[Any, Any]]:
    """What a value holds, each with the part of the path that leads to it, or None."""
    if isinstance(value, dict):
        yield from value.items()
        state = value.state if isinstance(value, OrderedMap) else None
        if isinstance(state, dict):
            yield from ((key, child) for key, child in state.items() if key != "_metadata")
    elif isinstance(value, Made):
        yield None, value.state
        yield None, value.args
    elif isinstance(value, (list, tuple)) and len(value) == 1:
        yield None, value[0]
    elif isinstance(value, (list, tuple)):
        yield from enumerate(value)


def _join(name: str, key: Any) -> str:
    if key is None or (isinstance(key, str) and key in _SILENT):
        return name
    text = key[:200] if isinstance(key, str) else _short(key)
    return f"{name}.{text}"[:1000] if name else text


def _short(key: Any) -> str:
    """A key in few characters; tuples that share parts print without end."""
    return str(key)[:200] if isinstance(key, (bytes, int, float, complex, Global)) else "(…)"


def _tensor(name: str, value: Made, starts: Mapping[str, int | None]) -> TensorInfo:
    if not isinstance(value.args, tuple) or len(value.args) < 4:  # noqa: PLR2004
        raise ValueError(f"its tensor {name!r} is described incompletely")
    storage, offset, shape, strides = value.args[:4]
    whole = are_sizes(shape) and are_sizes(strides) and len(shape) == len(strides)
    if not isinstance(storage, Storage) or not are_sizes((offset,)) or not whole:
        raise ValueError(f"its tensor {name!r} is described in a way that torch never writes")
    dtype = storage.dtype
    if str(value.maker) == _V3 and len(value.args) > _V3_DTYPE:
        kind = value.args[_V3_DTYPE]
        dtype = kind.name.removeprefix("torch.") if isinstance(kind, Global) else dtype
    return TensorInfo(
        name=name,
        dtype=dtype,
        shape=tuple(shape),
        strides=tuple(strides),
        start=starts.get(storage.key),
        storage_bytes=storage.nbytes,
        offset=offset,
        storage=storage.key,
    )
