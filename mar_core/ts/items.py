"""Reading the requests of a batch one by one: what is wrong with one is said of that one."""

from __future__ import annotations

import base64
import binascii
import urllib.parse
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from mar_core.ts.util import PredictionException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["bad_item", "each_item", "from_base64", "reject_item", "rejections"]

BAD_REQUEST = 400
_ENDS = (".", "?", "!")
_SHOWN = 24
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
