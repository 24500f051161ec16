"""Runs the ``EndpointHandler`` of a ``handler.py`` for Hugging Face's Inference Endpoints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from mar_core import (
    HandlerError,
    HandlerOption,
    PredictionException,
    bad_item,
    decode_image,
    handler_options,
    import_file,
)
from mar_endpoints.bodies import ANY, JSON, body_of, header, media_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core import Context

__all__ = ["CustomHandler"]

BAD_REQUEST = 400
OPTIONS: Mapping[str, HandlerOption] = {"content_type": HandlerOption.text("a content type")}
_NOT_PARAMETERS = frozenset({"body", "data", "model_name"})


class CustomHandler:
    """Serves a repository with the ``EndpointHandler`` of its ``handler.py``.

    It is made with the folder of the archive and called with ``{"inputs": …, "parameters": …}``: a
    JSON body as it is, a picture (``image/…``) as a Pillow image in RGB, sound (``audio/…``) as
    bytes. Parameters of the URL become ``parameters`` where the body has none. What it returns is
    answered as JSON.

    Options under ``handler:`` in model-config.yaml: ``content_type``, for requests that do not say.
    """

    signature: ClassVar[Mapping[str, Any] | str | None] = {
        "inputs": [
            {
                "name": "data",
                "type": "json",
                "description": "What the EndpointHandler takes: inputs and parameters.",
                "example": {"inputs": "A text."},
            }
        ],
        "outputs": [
            {
                "name": "answer",
                "type": "json",
                "description": "What the EndpointHandler returns.",
            }
        ],
    }

    def __init__(self) -> None:
        self.initialized = False
        self._endpoint: Any = None
        self._content_type = JSON

    def initialize(self, context: Context) -> None:
        """Import ``handler.py`` and make its ``EndpointHandler``.

        Raises:
            HandlerError: There is none.
        """
        options = handler_options(
            context.model_yaml_config, OPTIONS, handler="huggingface_endpoint"
        )
        self._content_type = options.get("content_type", JSON)
        made = getattr(import_file(context, "handler.py"), "EndpointHandler", None)
        if not callable(made):
            raise HandlerError(
                "handler.py has no class EndpointHandler.",
                stage="initialize",
                hint="Define it, or archive the folder with another --handler.",
            )
        self._endpoint = made(str(context.system_properties["model_dir"]))
        self.initialized = True

    def handle(self, data: Any, context: Context) -> list[Any]:
        """Answer each request by itself.

        Args:
            data: One row for each request.
            context: Its headers.

        Raises:
            PredictionException: A request is not what an endpoint takes.
        """
        return [self._answer(row, index, context) for index, row in enumerate(data or ())]

    def _answer(self, row: Mapping[str, Any], index: int, context: Context) -> Any:
        asked = self._asked(body_of(row), header(context, index, "content-type"))
        if "inputs" not in asked:
            message = f"The body needs the key 'inputs'; it has {', '.join(map(str, asked))}."
            raise PredictionException(message, BAD_REQUEST)
        query = {key: _number(value) for key, value in row.items() if key not in _NOT_PARAMETERS}
        if query:
            asked.setdefault("parameters", query)
        answer = self._endpoint(asked)
        accept = header(context, index, "accept")
        if isinstance(answer, (bytes, bytearray)) and accept not in {None, "", ANY}:
            context.set_response_content_type(index, str(accept))
            return bytes(answer)
        return answer

    def _asked(self, body: Any, content_type: str | None) -> dict[str, Any]:
        """What the endpoint is called with."""
        kind = media_type(content_type or self._content_type)
        if isinstance(body, (bytes, bytearray, memoryview)):
            raw = bytes(body)
            if kind.startswith("image/"):
                return {"inputs": _picture(raw)}
            if kind.startswith("audio/"):
                return {"inputs": raw}
            body = _parsed(raw, kind)
        if isinstance(body, dict):
            return dict(body)
        if isinstance(body, str) and content_type is not None and kind != JSON:
            return {"inputs": body}
        if isinstance(body, (str, list)):
            raise PredictionException("The body is no object with the key 'inputs'.", BAD_REQUEST)
        return {"inputs": body}


def _picture(raw: bytes) -> Any:
    try:
        return decode_image(raw).convert("RGB")
    except ValueError as error:  # colours that Pillow turns into no others
        raise bad_item(f"the picture cannot be turned into RGB: {error}") from error


def _parsed(raw: bytes, kind: str) -> Any:
    if kind != JSON:
        message = f"{kind} is none of {JSON}, image/… and audio/…."
        raise PredictionException(message, BAD_REQUEST)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise PredictionException(f"The body is not JSON: {error}.", BAD_REQUEST) from error


def _number(value: Any) -> Any:
    """A parameter of the URL: whole numbers and booleans as that."""
    text = (
        bytes(value).decode("utf-8", "replace") if isinstance(value, (bytes, bytearray)) else value
    )
    if isinstance(text, str) and text.isascii() and text.isdigit():
        return int(text)
    return {"true": True, "false": False}.get(text, text) if isinstance(text, str) else text
