"""What an operation of the server is: the rows of the table that OpenAPI describes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ANY_BODY",
    "FLAG",
    "INFERENCE",
    "JSON_BODY",
    "MANAGEMENT",
    "METRICS",
    "NUMBER",
    "PREDICTION",
    "TEXT",
    "Operation",
    "Parameter",
    "errors",
]

INFERENCE, MANAGEMENT, METRICS = "inference", "management", "metrics"
ANY_BODY: Mapping[str, Any] = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
JSON_BODY: Mapping[str, Any] = {"application/json": {"schema": {}}}
TEXT = {"type": "string"}
NUMBER = {"type": "integer", "format": "int32"}
FLAG = {"type": "boolean"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A query parameter.

    Attributes:
        name: Its name.
        schema: What it holds, as JSON Schema.
        text: What it means.
        required: Whether a request without it is refused.
    """

    name: str
    schema: Mapping[str, Any]
    text: str
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something that the server does for a path.

    Attributes:
        id: What it is called; OpenAPI's ``operationId``.
        listener: Which address answers it.
        methods: The methods that are answered.
        paths: The paths; ``{name}`` stands for one segment.
        summary: One sentence for people.
        query: Its query parameters.
        body: What a request may carry, by media type; None where it carries nothing.
        answers: The name of a schema, or media types, by status. ``0`` is any other status.
    """

    id: str
    listener: str
    methods: tuple[str, ...]
    paths: tuple[str, ...]
    summary: str
    query: tuple[Parameter, ...] = ()
    body: Mapping[str, Any] | None = None
    answers: Mapping[int, Any]


def errors(*statuses: int) -> dict[int, str]:
    """The answers of these statuses: a code, a type and a message."""
    return dict.fromkeys(statuses, "Error")


PREDICTION = {
    200: {},
    **errors(400, 404, 408, 413, 500, 503, 507),
    # A handler may answer with any status of its own.
    0: {},
}
