"""What one request brought: its items, what it asks for, and whether it wants a stream."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mar_core import bad_item, fields_of, payload

__all__ = ["Asked", "read_request"]

_BYTES = (bytes, bytearray, memoryview)
# Fields of a row that are not the input. `options` is the hub's own: cache, wait for a model.
_BESIDES = frozenset({"parameters", "stream", "options"})


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Attributes:
        inputs: What is to be answered, not yet read.
        many: Whether it was a list, whose answer is a list.
        parameters: What it asks for.
        stream: Whether it wants its answer as it comes; None where it does not say.
    """

    inputs: tuple[Any, ...]
    many: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    stream: bool | None = None


def read_request(row: Any, *, is_one: Callable[[Any], bool]) -> Asked:
    """Take a row apart: a bare input, or the hub's `{"inputs": …, "parameters": …}`.

    Args:
        row: The row as the handler gets it.
        is_one: Whether a list is one input, as the messages of a chat are, and not many.

    Raises:
        PredictionException: It is empty, or its parameters are none.
    """
    value = _opened(payload(row, form=True))
    besides = {key: row[key] for key in _BESIDES & row.keys()} if isinstance(row, Mapping) else {}
    if value is row and isinstance(value, Mapping):
        value = {key: one for key, one in fields_of(row).items() if key not in _BESIDES}
    if isinstance(value, Mapping) and "inputs" in value:
        besides = {**besides, **{key: value[key] for key in _BESIDES & value.keys()}}
        value = value["inputs"]
    elif isinstance(value, Mapping) and "parameters" in value:
        besides = {**besides, **{key: value[key] for key in _BESIDES & value.keys()}}
        value = {key: one for key, one in value.items() if key not in _BESIDES}
    if isinstance(value, (str, *_BYTES, list, Mapping)) and not value:
        raise bad_item("the request is empty")
    parameters = dict(_mapping(besides.get("parameters")))
    stream = parameters.pop("stream", besides.get("stream"))
    many = isinstance(value, list) and not is_one(value)
    return Asked(
        inputs=tuple(value) if many else (value,),
        many=many,
        parameters=parameters,
        stream=None if stream is None else _truth(stream),
    )


def _opened(value: Any) -> Any:
    """Bytes that are the hub's JSON, sent without a content type, as what they say."""
    if not isinstance(value, _BYTES) or not bytes(value[:64]).lstrip().startswith(b"{"):
        return value
    try:
        found = json.loads(bytes(value))
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, dict) and "inputs" in found else value


def _mapping(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if isinstance(value, (str, *_BYTES)):
        try:
            value = json.loads(value if isinstance(value, str) else bytes(value))
        except (ValueError, RecursionError) as error:
            raise bad_item("its parameters are not JSON") from error
    if not isinstance(value, Mapping):
        raise bad_item(f"its parameters are a {type(value).__name__}, where an object is expected")
    return value


def _truth(value: Any) -> bool:
    if isinstance(value, _BYTES):
        value = bytes(value).decode("utf-8", errors="replace")
    if isinstance(value, str):
        value = {"true": True, "false": False, "1": True, "0": False}.get(value.lower(), value)
    if not isinstance(value, bool):
        raise bad_item(f"its stream is {value!r}, where true or false is expected")
    return value
