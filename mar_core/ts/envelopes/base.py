"""What all envelopes share."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from mar_core.ts.util import PredictionException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["BaseEnvelope", "bare", "document_of", "instances_of", "list_of", "split"]

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
