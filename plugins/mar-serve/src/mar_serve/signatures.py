"""What a model's signature is to clients: bodies in OpenAPI, tensors in KServe's second protocol.

Nothing is told that would not hold: where a value has no tensor of its own, none is listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mar_core import Signature, SignatureField

__all__ = [
    "NamedTensor", "answer_content", "input_tensors", "output_tensors", "request_content",
]  # fmt: skip

DATATYPES = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64", "float16": "FP16",
    "bfloat16": "BF16", "float32": "FP32", "float64": "FP64",
}  # fmt: skip
BINARY = {"schema": {"type": "string", "format": "binary"}}
TEXT = {"text/plain": {"schema": {"type": "string"}}}
OCTETS = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class NamedTensor:
    """A tensor of the Open Inference Protocol, as a model's metadata lists it."""

    name: str
    datatype: str
    shape: list[int]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {"name": self.name, "datatype": self.datatype, "shape": self.shape}


def input_tensors(signature: Signature | None) -> list[NamedTensor]:
    """The tensors that a request has: the first axis counts requests."""
    fields = signature.inputs if signature is not None else ()
    return _all([_input(field) for field in fields])


def output_tensors(signature: Signature | None) -> list[NamedTensor]:
    """The tensors of an answer."""
    fields = list(signature.outputs) if signature is not None else []
    if len(fields) == 1 and fields[0].type == "object":
        parts = [*fields[0].fields.values(), *filter(None, [fields[0].values])]
        # An object of nothing but lists is answered as a tensor for each of them.
        if parts and all(part.type == "list" or part.shape != () for part in parts):
            named = [(name, part) for name, part in fields[0].fields.items()]
            return [] if fields[0].values else _all([_output(part, name) for name, part in named])
    return _all([_output(field, field.name) for field in fields])


def _all(tensors: Sequence[NamedTensor | None]) -> list[NamedTensor]:
    known = [tensor for tensor in tensors if tensor is not None]
    return known if len(known) == len(tensors) else []


def _input(field: SignatureField) -> NamedTensor | None:
    if field.type in {"string", "image", "bytes"}:
        return NamedTensor(field.name, "BYTES", [-1])
    return _numbers(field, field.name)


def _output(field: SignatureField, name: str) -> NamedTensor | None:
    if field.type in DATATYPES:
        return _numbers(field, name)
    return None if field.any_of or field.type == "json" else NamedTensor(name, "BYTES", [-1])


def _numbers(field: SignatureField, name: str) -> NamedTensor | None:
    datatype = DATATYPES.get(field.dtype or field.type)
    if datatype is None or field.shape is None:
        return None
    return NamedTensor(name, datatype, [-1, *field.shape])


def request_content(signature: Signature | None) -> dict[str, Any]:
    """The bodies that a request may have, by their media types; empty where nothing is said."""
    fields = signature.inputs if signature is not None else ()
    if not fields:
        return {}
    form = {
        "type": "object",
        "required": [field.name for field in fields],
        "properties": {field.name: _part(field) for field in fields},
    }
    forms = {"multipart/form-data": {"schema": form}}
    return forms if len(fields) > 1 else {**_body(fields[0]), **forms}


def _part(field: SignatureField) -> dict[str, Any]:
    schema = field.json_schema()
    binary = field.type in {"image", "bytes", "tensor"}
    return {**_described(field), **BINARY["schema"]} if binary else schema


def _described(field: SignatureField) -> dict[str, Any]:
    return {"description": field.description} if field.description else {}


def _body(field: SignatureField) -> dict[str, Any]:
    if field.type == "image":
        return {"image/*": BINARY, OCTETS: BINARY}
    if field.type == "bytes":
        return {OCTETS: BINARY}
    as_json = {"application/json": {"schema": field.json_schema()}}
    if field.type == "string":
        return {**TEXT, **as_json}
    return {OCTETS: BINARY, **as_json} if field.type == "tensor" else as_json


def answer_content(signature: Signature | None) -> dict[str, Any]:
    """The bodies that an answer may have, by their media types; empty where nothing is said."""
    answer = signature.answer() if signature is not None else None
    if answer is None:
        return {}
    content: dict[str, Any] = {}
    for option in answer.any_of or (answer,):
        content |= _answer(option)
    return content


def _answer(field: SignatureField) -> dict[str, Any]:
    if field.type == "image":
        return {"image/*": BINARY}
    if field.type in {"bytes", "tensor"}:
        return {OCTETS: BINARY}
    if field.type == "string":
        return dict(TEXT)
    return {"application/json": {"schema": field.json_schema()}}
