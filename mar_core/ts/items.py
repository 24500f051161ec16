"""The requests of a batch: what each brought, and what is wrong with one, said of that one."""

from __future__ import annotations

import base64
import binascii
import json
import urllib.parse
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from mar_core.ts.device import stacked, to_device
from mar_core.ts.util import PredictionException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import torch

__all__ = [
    "as_tensor", "as_text", "bad_item", "each_item", "fields_of", "from_base64", "payload",
    "reject_item", "rejections",
]  # fmt: skip

BAD_REQUEST = 400
_ENDS = (".", "?", "!")
_SHOWN = 24
_KEYS = ("data", "body")
_BYTES = (bytes, bytearray, memoryview)
_Result = TypeVar("_Result")
_rejected: ContextVar[dict[int, Exception] | None] = ContextVar("_rejected", default=None)


def bad_item(message: str) -> PredictionException:
    """The error of one request: the client's fault, which TorchServe answers with 400.

    Args:
        message: What is wrong, as a sentence; a capital and a full stop are added.
    """
    sentence = f"{message[0].upper()}{message[1:]}"
    end = "" if sentence.endswith(_ENDS) else "."
    return PredictionException(f"{sentence}{end}", BAD_REQUEST)


def each_item(rows: Iterable[Any], read: Callable[[Any], _Result]) -> list[_Result]:
    """Read every request of a batch; one that cannot be read is left out, or named.

    Call it in ``preprocess``.

    Args:
        rows: The requests.
        read: Reads one; raises ``PredictionException`` at one that it cannot read.

    Returns:
        What was read, in order.

    Raises:
        PredictionException: A request cannot be read and nothing here can leave it out (see
            ``reject_item``). The sentence says which item of the batch, and what is wrong with it.
    """
    rows = list(rows)
    results: list[_Result] = []
    for index, row in enumerate(rows):
        result = _attempt(read, row)
        if not isinstance(result, PredictionException):
            results.append(result)
        elif not reject_item(index, result):
            raise result if len(rows) == 1 else _named(result, index)
    return results


def from_base64(text: str, what: str) -> bytes:
    """The bytes that a string stands for: base64, or a ``data:`` URI; never a path or an address.

    Args:
        text: The string that a request carries.
        what: What the bytes are to be, in a word: ``image``.

    Raises:
        PredictionException: It is neither.
    """
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma:
            raise bad_item("the data: URI has no comma, and so no data")
        if not head.lower().endswith(";base64"):
            return urllib.parse.unquote_to_bytes(text)
        text = urllib.parse.unquote(text)
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        raise bad_item(
            f"the text {shown!r} is no {what} in base64; send the {what}'s bytes, its base64, or a "
            "data: URI; addresses and paths are not opened"
        ) from error


def _attempt(read: Callable[[Any], _Result], row: Any) -> _Result | PredictionException:
    try:
        return read(row)
    except PredictionException as error:
        return error


def _named(error: PredictionException, index: int) -> PredictionException:
    message = f"Item {index} of the batch: {error.message}"
    return PredictionException(message, error.error_code)


def reject_item(index: int, error: Exception) -> bool:
    """Say, from within ``preprocess``, that one request cannot be answered.

    The run reports it and goes on with what ``preprocess`` returns for the others: nothing is read
    or computed twice, as it is when ``preprocess`` raises.

    Args:
        index: The request's place in the batch.
        error: What is wrong with it.

    Returns:
        Whether the request may be left out. Where not, raise the error: the handler's stages may
        share more than the data that they hand on, or nothing runs them one by one.

    Example:
        >>> for index, row in enumerate(data):
        ...     try:
        ...         rows.append(self.read(row))
        ...     except PredictionException as error:
        ...         if not reject_item(index, error):
        ...             raise
    """
    rejected = _rejected.get()
    if rejected is None:
        return False
    rejected[index] = error
    return True


@contextmanager
def rejections() -> Iterator[dict[int, Exception]]:
    """Let a handler leave requests out; yields what is wrong with each, by its place."""
    rejected: dict[int, Exception] = {}
    token = _rejected.set(rejected)
    try:
        yield rejected
    finally:
        _rejected.reset(token)


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


def as_tensor(rows: Any, device: torch.device | None) -> torch.Tensor:
    """One tensor of shape ``(batch, …)`` made of requests or of bare values.

    Args:
        rows: The requests, or anything that ``torch.as_tensor`` takes.
        device: Where the tensor goes.

    Raises:
        PredictionException: A request has neither ``data`` nor ``body``, or the values do not make
            a tensor.
    """
    import torch

    if not isinstance(rows, Sequence) or isinstance(rows, (str, bytes)):
        return torch.as_tensor(rows, device=device)
    values = [_numbers(_innermost(row)) for row in rows]
    try:
        if values and all(hasattr(value, "__array__") for value in values):  # tensors and arrays
            return stacked([torch.as_tensor(value) for value in values], device)
        return to_device(torch.as_tensor(values), device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PredictionException(
            f"The values do not make one tensor of numbers: {error}.", BAD_REQUEST
        ) from error


def _innermost(value: Any) -> Any:
    """What a request carries; JSON in it may be such a request again."""
    while isinstance(value, Mapping):
        value = payload(value)
    return value


def _numbers(value: Any) -> Any:
    """A value as numbers; text is taken for JSON."""
    if not isinstance(value, (str, bytes, bytearray)):
        return value
    try:
        return _innermost(json.loads(value))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise bad_item(
            "the request holds text or bytes that are not JSON, where numbers are expected"
        ) from error
