"""``ts.protocol.otf_message_handler``: the messages between TorchServe's server and its workers.

All numbers are big-endian, 32 bits and signed; what has a length stands behind it; -1 ends a list.
"""

from __future__ import annotations

import io
import json
import logging
import os
import struct
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mar_core.ts.context import Context

__all__ = [
    "END_OF_LIST", "LOAD_MSG", "PREDICT_MSG", "RESPONSE", "bool_size",
    "create_load_model_response", "create_predict_response", "encode_response_headers",
    "int_size", "retrieve_msg", "send_intermediate_predict_response",
]  # fmt: skip

logger = logging.getLogger(__name__)

bool_size, int_size = 1, 4
END_OF_LIST = -1
LOAD_MSG, PREDICT_MSG = b"L", b"I"
RESPONSE = 3

UNAVAILABLE = 503


def retrieve_msg(conn: Any) -> tuple[bytes, Any]:
    """Read one message.

    Args:
        conn: A socket.

    Returns:
        ``b"L"`` and a dict that says what to load, or ``b"I"`` and a list of requests.

    Raises:
        ValueError: It is another message.
        SystemExit: The other side has closed the connection.
    """
    command = bytes(_read(conn, 1))
    if command == LOAD_MSG:
        return command, _read_load(conn)
    if command == PREDICT_MSG:
        return command, _read_list(conn, _read_request)
    raise ValueError(f"Invalid command: {command!r}")


def create_load_model_response(code: int, message: str) -> bytearray:
    """The answer to a message to load.

    Args:
        code: An HTTP status.
        message: What happened, in words.
    """
    return bytearray(_number(code) + _text(message) + _number(END_OF_LIST))


def create_predict_response(  # noqa: PLR0917 - TorchServe's signature
    ret: Any,
    req_id_map: Mapping[int, str],
    message: str,
    code: int,
    context: Any = None,
    ts_stream_next: bool = False,  # noqa: FBT001, FBT002
) -> bytearray | None:
    """The answers to a batch.

    Args:
        ret: For each request its result: bytes and strings go as they are, tensors as
            ``torch.save`` writes them, anything else as JSON. None for a batch that failed.
        req_id_map: The ids of the requests by their place in the batch.
        message: What happened, in words.
        code: The HTTP status of the batch.
        context: Says each answer's status and headers.
        ts_stream_next: Whether more parts of the answers follow.

    Returns:
        The message; None in all processes of a group but the first.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return None
    encoded = bytearray(_number(code) + _text(message))
    try:
        for index in req_id_map:
            encoded += _text(req_id_map[index])
            encoded += _head(context, index, code, ret, following=ts_stream_next is True)
            encoded += _sized(b"error" if ret is None else _body(ret[index]))
    except TypeError:
        logger.warning("A result cannot be written as JSON.", exc_info=True)
        problem = "Unsupported model output data type."
        return create_predict_response(None, req_id_map, problem, UNAVAILABLE)
    return encoded + _number(END_OF_LIST)


def send_intermediate_predict_response(
    ret: Any,
    req_id_map: Mapping[int, str] | Iterable[int],
    message: str = "",
    code: int = 200,
    context: Context | None = None,
) -> None:
    """Send a part of the answers ahead; what the handler returns is the last part.

    Args:
        ret: For each request of the batch its part.
        req_id_map: The requests: ``context.request_ids``.
        message: What TorchServe's server logs.
        code: What it takes for the batch; an answer's own status is set on the context.
        context: The context of this batch.
    """
    if context is None or os.environ.get("LOCAL_RANK", "0") != "0":
        return
    socket = getattr(context, "cl_socket", None)
    if socket is not None:  # in a worker of TorchServe's own server
        ids = {index: context.get_request_id(index) or "" for index in req_id_map}
        socket.sendall(create_predict_response(ret, ids, message, code, context, True))  # noqa: FBT003
        return
    for index in req_id_map:
        context.set_response_header(index, "ts_stream_next", "true")
        if context.sink is not None:
            context.sink(index, ret[index])


def encode_response_headers(resp_hdr_map: Mapping[str, str]) -> bytearray:
    """The headers of one answer."""
    pairs = (_text(name) + _text(value) for name, value in resp_hdr_map.items())
    return bytearray(_number(len(resp_hdr_map)) + b"".join(pairs))


def _head(context: Any, index: int, code: int, ret: Any, *, following: bool) -> bytes:
    """The content type, status and headers of one answer."""
    if context is None:
        return _text("") + _number(code) + _text("") + _number(0)
    _say_whether_more_follows(context, index, ret, following=following)
    status, phrase = context.get_response_status(index)
    return (
        _text(context.get_response_content_type(index) or "")
        + _number(200 if status is None else status)
        + _text(phrase or "")
        + bytes(encode_response_headers(context.get_response_headers(index)))
    )


def _say_whether_more_follows(context: Any, index: int, ret: Any, *, following: bool) -> None:
    header = "ts_stream_next"
    if following:
        context.set_response_header(index, header, "true")
    elif context.stopping_criteria:
        done = context.stopping_criteria[index](ret[index])
        if done is not None:
            context.set_response_header(index, header, "false" if done else "true")
    elif context.get_response_headers(index).get(header) == "true":
        context.set_response_header(index, header, "false")


def _body(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, str):
        return value.encode()
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        stream = io.BytesIO()
        torch.save(value, stream)
        return stream.getvalue()
    return json.dumps(value, indent=2).encode()


def _number(value: int) -> bytes:
    return struct.pack("!i", value)


def _sized(value: bytes) -> bytes:
    return _number(len(value)) + value


def _text(value: str) -> bytes:
    return _sized(value.encode())


def _read(conn: Any, length: int) -> bytearray:
    data = bytearray()
    while len(data) < length:
        packet = conn.recv(length - len(data))
        if not packet:
            logger.info("The server has closed the connection.")
            sys.exit(0)
        data += packet
    return data


def _read_number(conn: Any) -> int:
    number: int = struct.unpack("!i", _read(conn, int_size))[0]
    return number


def _read_sized(conn: Any) -> bytearray:
    return _read(conn, _read_number(conn))


def _read_list(conn: Any, read: Callable[[Any, bytearray], dict[str, Any]]) -> list[dict[str, Any]]:
    """Items, each of which begins with something that has a length, up to the mark of the end."""
    items = []
    while (length := _read_number(conn)) != END_OF_LIST:
        items.append(read(conn, _read(conn, length)))
    return items


def _read_load(conn: Any) -> dict[str, Any]:
    message: dict[str, Any] = {
        "modelName": _read_sized(conn),
        "modelPath": _read_sized(conn),
        "batchSize": _read_number(conn),
        "handler": _read_sized(conn),
    }
    gpu = _read_number(conn)
    if gpu >= 0:
        message["gpu"] = gpu
    message["envelope"] = _read_sized(conn)
    message["limitMaxImagePixels"] = _read(conn, bool_size) != b"\0"
    return message


def _read_request(conn: Any, request_id: bytearray) -> dict[str, Any]:
    return {
        "requestId": request_id,
        "headers": _read_list(conn, _read_header),
        "parameters": _read_list(conn, _read_parameter),
    }


def _read_header(conn: Any, name: bytearray) -> dict[str, Any]:
    return {"name": name, "value": _read_sized(conn)}


def _read_parameter(conn: Any, name: bytearray) -> dict[str, Any]:
    content_type = _read_sized(conn).decode()
    value = _decoded(_read_sized(conn), content_type)
    return {"name": name.decode(), "contentType": content_type, "value": value}


def _decoded(value: bytearray, content_type: str) -> Any:
    """JSON parsed and text as a string, unless switched off; what is neither stays as it came."""
    if os.environ.get("TS_DECODE_INPUT_REQUEST", "true") != "true":
        return value
    try:
        if content_type == "application/json":
            return json.loads(value)
        if content_type.startswith("text"):
            return value.decode()
    except ValueError:
        logger.warning("A request is not %s; it goes on as it came.", content_type, exc_info=True)
    return value
