"""MLflow's scoring protocol: the bodies that ``mlflow models serve`` takes."""

from __future__ import annotations

import io
import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from mar_core import PredictionException, as_text, fields_of, payload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core import Context

__all__ = ["BAD_REQUEST", "FORMATS", "Asked", "Scoring", "asked_of", "rows_of"]

BAD_REQUEST = 400
CSV, JSON = "text/csv", "application/json"
FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")


class Asked:
    """One request, taken apart.

    Args:
        form: One of ``FORMATS``, or ``csv``.
        value: What it holds.
        params: The request's ``params``.
    """

    def __init__(self, form: str, value: Any, params: dict[str, Any] | None = None) -> None:
        self.form = form
        self.value = value
        self.params = params or {}


class Scoring(ABC):
    """A handler that answers each request by itself, as ``mlflow models serve`` does."""

    def handle(self, data: Any, context: Context) -> list[Any]:
        """Answer each request by itself.

        Args:
            data: One row for each request.
            context: Its headers.

        Raises:
            PredictionException: A request is not of MLflow's forms.
        """
        return [self.answer(asked_of(row, context, index)) for index, row in enumerate(data or ())]

    @abstractmethod
    def answer(self, asked: Asked) -> dict[str, Any]:
        """The answer to one request.

        Raises:
            PredictionException: The model cannot take it.
        """


def asked_of(row: Mapping[str, Any], context: Context, index: int) -> Asked:
    """What one request asks.

    Raises:
        PredictionException: It is none of MLflow's forms.
    """
    body = payload(row, form=True)
    if body is row:  # the fields of a form, or KServe's tensors by their names
        body = fields_of(row)
    kind = _content_type(context, index)
    raw = bytes(body) if isinstance(body, (bytes, bytearray, memoryview)) else None
    if kind == CSV and (raw is not None or isinstance(body, str)):
        return Asked("csv", as_text(body, "the body"))
    if raw is not None:
        body = _parsed(raw)
    if isinstance(body, list):  # rows of a table or values, as base_handler takes them
        return Asked("instances", body)
    if not isinstance(body, dict):
        raise _wrong(f"it is a {type(body).__name__}")
    forms = [form for form in FORMATS if form in body]
    if not forms and body:  # one row of a table, as `mar run table.csv` sends it
        return Asked("dataframe_records", [body])
    if len(forms) != 1:
        raise _wrong(f"it has the keys {', '.join(map(str, body)) or 'none'}")
    params = body.get("params")
    return Asked(forms[0], body[forms[0]], params if isinstance(params, dict) else None)


def rows_of(asked: Asked) -> tuple[list[str] | None, list[list[Any]]]:
    """The columns' names and the rows of a table.

    Raises:
        PredictionException: It is no table.
    """
    value = asked.value
    if asked.form == "csv":
        return _csv(value)
    if asked.form == "dataframe_split":
        data = value.get("data") if isinstance(value, dict) else None
        columns = value.get("columns") if isinstance(value, dict) else None
        if not isinstance(data, list) or not all(isinstance(row, list) for row in data):
            raise _wrong("dataframe_split needs the key data, a list of rows")
        return (list(map(str, columns)) if isinstance(columns, list) else None), data
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise _wrong(f"{asked.form} must be a list of objects")
    names = list(value[0]) if value else []
    if any(set(row) != set(names) for row in value):
        raise _wrong("its records have different keys")
    return names, [[row[name] for name in names] for row in value]


def _csv(text: str) -> tuple[list[str], list[list[Any]]]:
    import csv

    lines = list(csv.reader(io.StringIO(text)))
    if not lines:
        raise _wrong("it is empty")
    return lines[0], [line for line in lines[1:] if line]


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _wrong(f"it is not JSON ({error})") from error


def _content_type(context: Context, index: int) -> str:
    for key, value in context.get_all_request_header(index).items():
        if key.lower() == "content-type" and isinstance(value, str):
            return value.partition(";")[0].strip().lower()
    return JSON


def _wrong(why: str) -> PredictionException:
    return PredictionException(
        f"The body must be CSV, or an object with one of {', '.join(FORMATS)}: {why}.", BAD_REQUEST
    )
