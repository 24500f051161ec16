"""The envelope ``kservev2``: version 2 of KServe's protocol, the Open Inference Protocol."""

from __future__ import annotations

from typing import Any

from mar_core.ts.envelopes.base import BaseEnvelope, document_of, list_of, split
from mar_core.ts.util import PredictionException

__all__ = ["KServev2Envelope"]

BAD_REQUEST = 400
NUMBERS = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}
BYTES = "BYTES"


class KServev2Envelope(BaseEnvelope):
    """Gives the handler the inputs of all requests in one list, each with its data in shape."""

    _lengths: tuple[int, ...] = ()
    _names: tuple[str, ...] = ()
    _ids: tuple[str | None, ...] = ()

    def parse_input(self, data: Any) -> list[dict[str, Any]]:
        """The inputs of all requests: their data as nested lists, or the text of ``BYTES``."""
        documents = [document_of(row) for row in data]
        inputs = [[_in_shape(entry) for entry in list_of(one, "inputs")] for one in documents]
        self._lengths = tuple(len(entries) for entries in inputs)
        self._names = tuple(entry["name"] for entries in inputs for entry in entries)
        self._ids = tuple((document.get("id") or "").strip() or None for document in documents)
        self.context.input_names = list(self._names)
        return [entry for entries in inputs for entry in entries]

    def format_output(self, data: Any) -> list[dict[str, Any]]:
        """For each request its id, the model's name and version, and its outputs."""
        model = (self.context.manifest or {}).get("model") or {}
        start, responses = 0, []
        for index, part in enumerate(split(data, self._lengths)):
            names = self._names[start : start + self._lengths[index]]
            start += self._lengths[index]
            responses.append(
                {
                    "id": self._ids[index] or self.context.get_request_id(index),
                    "model_name": model.get("modelName"),
                    "model_version": model.get("modelVersion"),
                    "outputs": [_output(item, _name(names, at)) for at, item in enumerate(part)],
                }
            )
        return responses


def _in_shape(entry: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    lacking = [key for key in ("name", "datatype", "shape", "data") if key not in entry]
    if lacking:
        name, keys = entry.get("name"), ", ".join(lacking)
        raise PredictionException(f"Input {name!r} has no {keys}.", BAD_REQUEST)
    if entry["datatype"] == BYTES:
        return {**entry, "data": entry["data"][0]}
    try:
        values = np.array(entry["data"]).reshape(tuple(entry["shape"]))
    except ValueError as error:
        raise PredictionException(f"Input {entry['name']!r}: {error}.", BAD_REQUEST) from error
    return {**entry, "data": values.tolist()}


def _output(item: Any, name: str) -> dict[str, Any]:
    import numpy as np

    flat = np.array(item).flatten()
    return {
        "name": name,
        "datatype": NUMBERS.get(str(flat.dtype), BYTES),
        "data": flat.tolist(),
        "shape": flat.shape,
    }


def _name(names: tuple[str, ...], at: int) -> str:
    return names[at] if at < len(names) else f"output-{at}"
