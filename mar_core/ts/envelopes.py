"""Request envelopes: they unwrap an orchestrator's requests and wrap the results again."""

from __future__ import annotations

import base64
import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from mar_core.errors import UsageError
from mar_core.ts.util import PredictionException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "ENVELOPES", "BaseEnvelope", "BodyEnvelope", "JSONEnvelope", "KServeEnvelope",
    "KServev2Envelope", "bare", "document_of", "find_envelope", "instances_of", "list_of",
    "split",
]  # fmt: skip

BAD_REQUEST = 400


class BaseEnvelope(ABC):
    """Stands between the requests and a handler.

    Inherit from it and say how requests are unwrapped and results wrapped.

    Args:
        handle_fn: The handler's ``handle``.
    """

    def __init__(self, handle_fn: Callable[[Any, Any], Any]) -> None:
        self._handle_fn = handle_fn
        self.context: Any = None

    def handle(self, data: Any, context: Any) -> Any:
        """Answer a batch; empty data and empty results go through as they are."""
        self.context = context
        if data:
            data = self.parse_input(data)
        results = self._handle_fn(data, context)
        return self.format_output(results) if results else results

    @abstractmethod
    def parse_input(self, data: Any) -> Any:
        """What the handler is given for these requests."""

    @abstractmethod
    def format_output(self, data: Any) -> Any:
        """One answer for each request, made of the handler's results."""


def bare(row: Any) -> Any:
    """What a request carries: its ``data``, else its ``body``; None where it has neither."""
    value = row.get("data")
    return row.get("body") if value is None else value


def document_of(row: Any) -> dict[str, Any]:
    """The JSON object that a request carries, whether it came parsed or as text.

    Raises:
        PredictionException: It carries none.
    """
    value = bare(row)
    document = row if value is None else value
    if isinstance(document, (bytes, bytearray, str)):
        try:
            document = json.loads(document)
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            message = f"The request is not JSON: {error}."
            raise PredictionException(message, BAD_REQUEST) from error
    if not isinstance(document, dict):
        kind = type(document).__name__
        raise PredictionException(f"The request is a {kind}, not a JSON object.", BAD_REQUEST)
    return document


def instances_of(row: Any) -> list[Any]:
    """The instances that a request carries.

    Raises:
        PredictionException: It carries none.
    """
    return list_of(document_of(row), "instances")


def list_of(document: dict[str, Any], key: str) -> list[Any]:
    """The list under a key of what a request carries.

    Raises:
        PredictionException: There is none.
    """
    instances = document.get(key)
    if not isinstance(instances, list):
        raise PredictionException(f"The request has no list under {key!r}.", BAD_REQUEST)
    return instances


def split(results: Any, lengths: Sequence[int]) -> Iterable[Any]:
    """Hand the results of a joined batch back to the requests that they belong to.

    Args:
        results: What the handler returned; for a single request all of it is that request's.
        lengths: How many items each request brought.

    Raises:
        PredictionException: The handler returned another number of results.
    """
    if len(lengths) == 1:
        return [results]
    if len(results) != sum(lengths):
        raise PredictionException(
            f"The handler returned {len(results)} results for {sum(lengths)} instances in "
            f"{len(lengths)} requests, which cannot be told apart.",
            503,
        )
    ends = [sum(lengths[: index + 1]) for index in range(len(lengths))]
    return [results[end - length : end] for end, length in zip(ends, lengths, strict=True)]


class BodyEnvelope(BaseEnvelope):
    """Gives the handler what each request carries, and its results back as they are."""

    def parse_input(self, data: Any) -> list[Any]:
        """The ``data``, else the ``body``, of each request."""
        return [bare(row) for row in data]

    def format_output(self, data: Any) -> Any:
        """The results as they are."""
        return data


class JSONEnvelope(BaseEnvelope):
    """Gives the handler the instances of all requests in one list; ``b64`` values become bytes."""

    _lengths: tuple[int, ...] = ()

    def parse_input(self, data: Any) -> list[Any]:
        """The instances of all requests, one after the other."""
        batches = [[_decoded(row) for row in instances_of(row)] for row in data]
        self._lengths = tuple(len(batch) for batch in batches)
        return [instance for batch in batches for instance in batch]

    def format_output(self, data: Any) -> list[str]:
        """For each request ``{"predictions": […]}`` as JSON text."""
        return [json.dumps({"predictions": part}) for part in split(data, self._lengths)]


def _decoded(row: Any) -> Any:
    if not isinstance(row, dict):
        return row
    if list(row) == ["b64"]:
        return base64.b64decode(row["b64"])
    return {
        key: _decoded(value) if isinstance(value, dict) and list(value) == ["b64"] else value
        for key, value in row.items()
    }


class KServeEnvelope(BaseEnvelope):
    """Gives the handler the instances of all requests in one list."""

    _lengths: tuple[int, ...] = ()

    def parse_input(self, data: Any) -> list[Any]:
        """The instances of all requests, one after the other."""
        batches = [instances_of(row) for row in data]
        self._lengths = tuple(len(batch) for batch in batches)
        return [instance for batch in batches for instance in batch]

    def format_output(self, data: Any) -> list[dict[str, Any]]:
        """For each request ``{"predictions": …}``, or ``{"explanations": …}`` where asked for."""
        key = "explanations" if self._is_explain() else "predictions"
        return [{key: part} for part in split(data, self._lengths)]

    def _is_explain(self) -> bool:
        return bool(self.context) and self.context.get_request_header(0, "explain") == "True"


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


ENVELOPES: dict[str, type[BaseEnvelope]] = {
    "body": BodyEnvelope,
    "json": JSONEnvelope,
    "kserve": KServeEnvelope,
    "kservev2": KServev2Envelope,
}


def find_envelope(name: str) -> type[BaseEnvelope]:
    """The envelope of that name.

    Args:
        name: ``body``, ``json``, ``kserve`` or ``kservev2``.

    Raises:
        UsageError: There is none.
    """
    if name not in ENVELOPES:
        known = ", ".join(ENVELOPES)
        raise UsageError(f"There is no envelope {name!r}.", hint=f"Choose one of {known}.")
    return ENVELOPES[name]
