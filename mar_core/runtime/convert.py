"""What ``predict`` takes, as the requests that TorchServe would have built of it."""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from mar_core.errors import InputError, UsageError
from mar_core.records import Input
from mar_core.runtime.content import JSON, decode, request_headers

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["as_input", "refuse_single"]

BODY = "body"
_REQUEST_KEYS = frozenset({"data", "body"})


def refuse_single(inputs: Any) -> None:
    """Refuse what is one input where a list of inputs belongs: a text is a list of letters.

    Raises:
        UsageError: It is a text, bytes, a path, a mapping, a picture, a file, or no list at all.
    """
    one = isinstance(inputs, (str, bytes, bytearray, memoryview, PurePath, Mapping, Input))
    picture = type(inputs).__module__.partition(".")[0] == "PIL"
    if one or picture or hasattr(inputs, "read") or not hasattr(inputs, "__iter__"):
        raise UsageError(
            f"predict takes a list of inputs, not one {type(inputs).__name__}.",
            hint="Put it in a list: `model.predict([x])`.",
        )


def as_input(value: Any, *, name: str) -> Input:
    """One input of ``predict`` as a request.

    Args:
        value: See ``Predictor.predict``.
        name: The id to give it.
    """
    if isinstance(value, Input):
        return value
    if isinstance(value, Path):
        kind = JSON if value.suffix.lower() == ".json" else ""
        return Input(
            id=str(value), read=functools.partial(_from_file, value, kind), headers=_headers(kind)
        )
    read, kind = _reading(value)
    return Input(id=name, read=read, headers=_headers(kind))


def _reading(value: Any) -> tuple[Callable[[], dict[str, Any]], str]:
    """What reads a value, and its content type, if it has one."""
    if isinstance(value, dict) and not _REQUEST_KEYS.isdisjoint(value):
        return functools.partial(_same, value), ""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return functools.partial(_same, {BODY: bytearray(value)}), ""
    if isinstance(value, str):
        return functools.partial(_same, {BODY: value}), "text/plain"
    if type(value).__module__.partition(".")[0] == "PIL":
        return functools.partial(_from_image, value), "image/png"
    return functools.partial(_from_value, value), JSON


def _headers(kind: str) -> dict[str, Any]:
    return request_headers({BODY: kind}, {}, content_type=kind)


def _same(row: dict[str, Any]) -> dict[str, Any]:
    return row


def _from_value(value: Any) -> dict[str, Any]:
    """Arrays and tensors arrive as JSON would have brought them: as nested lists."""
    return {BODY: value.tolist() if hasattr(value, "tolist") else value}


def _from_image(image: Any) -> dict[str, Any]:
    """A picture arrives as the bytes of a PNG, which loses nothing."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return {BODY: bytearray(buffer.getvalue())}


def _from_file(path: Path, kind: str) -> dict[str, Any]:
    try:
        return {BODY: decode(path.read_bytes(), kind)}
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
