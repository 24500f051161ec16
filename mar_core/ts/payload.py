"""What a request brought: its payload, the fields beside it, and texts in either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mar_core.ts.items import bad_item

__all__ = ["as_text", "fields_of", "payload"]

_KEYS = ("data", "body")
_BYTES = (bytes, bytearray, memoryview)


def payload(row: Any, *, form: bool = False) -> Any:
    """What a request carries: its ``data``, else its ``body``; a bare value is itself.

    Args:
        row: The request as the handler gets it; an envelope hands over what it holds, bare.
        form: Take one with neither, such as a form or an instance of KServe's, for its fields.

    Raises:
        PredictionException: It has neither, or it is empty.
    """
    value = row
    if isinstance(row, Mapping):
        key = next((key for key in _KEYS if row.get(key) is not None), None)
        if key is None and not (form and row):
            names = ", ".join(map(repr, row)) or "nothing"
            raise bad_item(f"the request has {names}, where 'data' or 'body' is expected")
        value = row if key is None else row[key]
    if isinstance(value, (str, *_BYTES)) and not value:
        raise bad_item("the request is empty")
    return value


def fields_of(row: Any) -> dict[str, Any]:
    """The fields of a request: those of a form, or of the JSON object that it carries, or both.

    Args:
        row: The request as the handler gets it.

    Returns:
        The fields by name, without what is carried; bytes that are text, as a form's are, as text.
        Empty where the request is a bare value.
    """
    if not isinstance(row, Mapping):
        return {}
    inner = next((row[key] for key in _KEYS if row.get(key) is not None), None)
    fields = {key: value for key, value in row.items() if key not in _KEYS}
    fields = {**fields, **(inner if isinstance(inner, Mapping) else {})}
    return {str(key): _text_where_it_is_one(value) for key, value in fields.items()}


def as_text(value: Any, what: str = "the text") -> str:
    """A text that a request holds, as string or as UTF-8.

    Args:
        value: What it holds.
        what: What to call it in a sentence.

    Raises:
        PredictionException: It is none.
    """
    if isinstance(value, _BYTES):
        try:
            return bytes(value).decode("utf-8")
        except UnicodeDecodeError as error:
            raise bad_item(f"{what} is not UTF-8 (byte {error.start})") from error
    if not isinstance(value, str):
        raise bad_item(f"{what} is of type {type(value).__name__}, where a text is expected")
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON can say it, and no tokenizer takes it
        raise bad_item(f"{what} holds half of a character: a lone surrogate") from None
    return value


def _text_where_it_is_one(value: Any) -> Any:
    if not isinstance(value, _BYTES):
        return value
    try:
        return bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        return value
