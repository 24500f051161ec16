"""What an archive of an MLflow model takes and gives, as its ``MLmodel`` says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_mlflow.mlmodel import FILE, MOST_BYTES, parse_mlmodel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mar_core import Archive
    from mar_mlflow.mlmodel import Column, MLmodel

__all__ = ["signature_of"]

# What can be said of a column, or a tensor, by MLflow's and NumPy's names.
_COLUMNS = {
    "boolean": "bool", "integer": "int32", "long": "int64", "float": "float32",
    "double": "float64", "string": "string", "binary": "bytes", "datetime": "string",
}  # fmt: skip
_TENSORS = frozenset({
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16",
    "float32", "float64",
})  # fmt: skip
_TAKEN = (
    "MLflow's scoring protocol: dataframe_split, dataframe_records, instances or inputs, or CSV."
)


def signature_of(archive: Archive, _: Mapping[str, Any]) -> dict[str, Any]:
    """The signature of an archive of either flavour.

    A table is taken row by row too, each column a field of the request; a tensor comes with all of
    its axes, the one that counts rows included.

    Args:
        archive: The archive, open.
        _: What its model-config.yaml says under ``handler:``.

    Raises:
        UsageError: Its ``MLmodel`` is damaged.
    """
    member = archive.members.get(FILE)
    told = None
    if member is not None:
        told = parse_mlmodel(archive.read(FILE) if member.size <= MOST_BYTES else b"")
    answer = {"type": "object", "fields": {"predictions": _predictions(told)}}
    return {"inputs": _inputs(told), "outputs": [{"name": "answer", **answer}]}


def _inputs(told: MLmodel | None) -> list[dict[str, Any]]:
    columns = told.inputs if told is not None else ()
    names = [column.name for column in columns]
    if len(columns) == 1 and columns[0].dtype in _TENSORS:
        return [{"name": "inputs", **_tensor(columns[0]), "description": _TAKEN}]
    if not names or None in names or not all(_is_name(str(name)) for name in names):
        return [{"name": "data", "type": "json", "description": _TAKEN}]
    fields = {str(column.name): _field(column) for column in columns}
    if any(column.dtype is not None for column in columns):
        inputs = {"inputs": {"type": "object", "fields": fields}}
        return [{"name": "data", "type": "object", "fields": inputs, "description": _TAKEN}]
    if len(fields) == 1:
        return [{"name": "data", "type": "object", "fields": fields, "description": _TAKEN}]
    return [{"name": name, **field} for name, field in fields.items()]


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST and name.isprintable()


_LONGEST = 100


def _field(column: Column) -> dict[str, Any]:
    if column.dtype is not None:
        return _tensor(column) if column.dtype in _TENSORS else {"type": "json"}
    return {"type": _COLUMNS.get(str(column.kind), "json")}


def _tensor(column: Column) -> dict[str, Any]:
    shape = list(column.shape) if column.shape is not None else None
    return {"type": column.dtype, "shape": shape}


def _predictions(told: MLmodel | None) -> dict[str, Any]:
    inputs: Sequence[Column] = told.inputs if told is not None else ()
    outputs: Sequence[Column] = told.outputs if told is not None else ()
    tensors = inputs and all(column.dtype is not None for column in inputs)
    if tensors and len(outputs) == 1 and outputs[0].dtype in _TENSORS:
        return _tensor(outputs[0])
    return {"type": "json", "description": "A row for each of a table, lists for a tensor."}
