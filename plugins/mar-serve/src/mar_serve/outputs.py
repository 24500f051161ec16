"""Tensors out of what a handler answered: numbers where they are numbers, strings where not."""

from __future__ import annotations

import sys
from math import isfinite
from typing import TYPE_CHECKING, Any

from mar_serve.answers import strict_json
from mar_serve.errors import bad_request
from mar_serve.tensors import Tensor, flat, shape_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from mar_serve.signatures import NamedTensor

__all__ = ["outputs_of"]

_INT64 = 1 << 63
_LARGEST = {"FP16": 65504.0, "BF16": 3.38e38, "FP32": 3.4e38, "FP64": sys.float_info.max}


def outputs_of(
    values: Sequence[Any], wanted: Any, default: str, declared: Sequence[NamedTensor] = ()
) -> list[Tensor]:
    """The outputs of a request.

    Args:
        values: What the handler answered, row by row.
        wanted: The outputs that the client asked for, by name; None for all.
        default: What an output is called that nobody named: TorchServe takes the input's name.
        declared: The outputs that the model's metadata lists.

    Raises:
        ServeError: The client asked for an output that the handler does not give.
    """
    names = _names(wanted)
    kinds = {one.name: one.datatype for one in declared}
    fields = _declared_fields(values, kinds) or _fields(values)
    if fields and (not names or set(names) <= set(fields)):
        columns = {name: [row[name] for row in values] for name in names or fields}
        return [_tensor(name, rows, kinds.get(name)) for name, rows in columns.items()]
    if len(names) > 1:
        raise bad_request(f"This model gives one output, not {len(names)}.")
    only = next(iter(kinds)) if len(kinds) == 1 else None
    name = names[0] if names else only or default
    return [_tensor(name, list(values), kinds.get(only or name))]


def _declared_fields(values: Sequence[Any], declared: Collection[str]) -> list[str]:
    """The names of the outputs, where there are several and every row has them."""
    whole = all(isinstance(row, dict) and row.keys() >= set(declared) for row in values)
    return list(declared) if len(declared) > 1 and whole else []


def _names(wanted: Any) -> list[str]:
    if wanted is None:
        return []
    if not isinstance(wanted, list) or not all(isinstance(one, dict) for one in wanted):
        raise bad_request('"outputs" must be a list of objects with a name.')
    return [str(one.get("name", "")) for one in wanted]


def _fields(values: Sequence[Any]) -> list[str]:
    """The names of the outputs, where every row is an object of tensors with the same names."""
    first = values[0] if values else None
    if not isinstance(first, dict) or not first:
        return []
    same = all(isinstance(row, dict) and row.keys() == first.keys() for row in values)
    tensors = same and all(isinstance(value, list) for row in values for value in row.values())
    return list(first) if tensors else []


def _tensor(name: str, rows: list[Any], declared: str | None = None) -> Tensor:
    shape = shape_of(rows)
    found = flat(rows) if shape is not None else []
    kind = _kind(found)
    if shape is None or kind is None:
        texts = [row if isinstance(row, str) else strict_json(row).decode() for row in rows]
        return Tensor(name, "BYTES", [len(rows)], texts)
    if kind in {"INT64", "FP64"} and declared is not None and _holds(declared, found, kind):
        kind = declared
    floats = kind.startswith(("FP", "BF"))
    return Tensor(name, kind, shape, [float(v) for v in found] if floats else found)


def _holds(datatype: str, values: Sequence[float], kind: str) -> bool:
    """Whether a tensor of a datatype holds these numbers, but for the last digits."""
    if datatype in _LARGEST:
        return all(abs(value) <= _LARGEST[datatype] or not isfinite(value) for value in values)
    bits = datatype.lstrip("UINT")
    if kind == "FP64" or not bits.isdigit():
        return datatype == kind
    span = 1 << int(bits)
    low = 0 if datatype.startswith("U") else -span // 2
    return all(low <= value < low + span for value in values)


def _kind(values: list[Any]) -> str | None:
    kinds = {type(value) for value in values}
    if kinds == {str}:
        return "BYTES"
    if kinds == {bool}:
        return "BOOL"
    if not kinds or not kinds <= {int, float}:
        return None
    if any(type(value) is int and not -_INT64 <= value < _INT64 for value in values):
        return None  # no tensor holds it
    return "INT64" if kinds == {int} else "FP64"
