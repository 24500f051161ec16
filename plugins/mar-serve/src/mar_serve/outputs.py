"""Tensors out of what a handler answered: numbers where they are numbers, strings where not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mar_serve.errors import bad_request
from mar_serve.tensors import Tensor, flat, shape_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["outputs_of"]

_INT64 = 1 << 63


def outputs_of(values: Sequence[Any], wanted: Any, default: str) -> list[Tensor]:
    """The outputs of a request.

    Args:
        values: What the handler answered, row by row.
        wanted: The outputs that the client asked for, by name; None for all.
        default: What an output is called that nobody named: TorchServe takes the input's name.

    Raises:
        ServeError: The client asked for an output that the handler does not give.
    """
    names = _names(wanted)
    fields = _fields(values)
    if fields and (not names or set(names) <= set(fields)):
        return [_tensor(name, [row[name] for row in values]) for name in names or fields]
    if len(names) > 1:
        raise bad_request(f"This model gives one output, not {len(names)}.")
    return [_tensor(names[0] if names else default, list(values))]


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


def _tensor(name: str, rows: list[Any]) -> Tensor:
    shape = shape_of(rows)
    found = flat(rows) if shape is not None else []
    kind = _kind(found)
    if shape is None or kind is None:
        texts = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        return Tensor(name, "BYTES", [len(rows)], texts)
    return Tensor(name, kind, shape, [float(v) for v in found] if kind == "FP64" else found)


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
