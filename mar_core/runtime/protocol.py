"""The one protocol between a parent and its worker processes: frames, messages, plain values.

A frame is a list of messages, so that many small calls travel together. To a worker goes what the
user gave: it is trusted, and pickled. From a worker, where the archive's code has run, come
MessagePack's values, of which nothing but plain data can be made, each frame behind its length.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pickle
import struct
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import msgpack

from mar_core import errors
from mar_core.errors import HandlerError, MarError
from mar_core.records import Failure
from mar_core.runtime.failures import own_lines, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from mar_core.runtime.prepared import Prepared

__all__ = [
    "ANSWER",
    "CALL",
    "DESCRIBE",
    "END",
    "IMPORT",
    "LOAD",
    "METRIC",
    "PART",
    "READY",
    "REFUSED",
    "Inbox",
    "ProtocolError",
    "Ready",
    "Reply",
    "Setup",
    "frames",
    "from_worker",
    "refused",
    "refused_with",
    "reply_of",
    "to_worker",
]

# To a worker: (IMPORT, module), (LOAD, Setup), (CALL, number, requests), (DESCRIBE, number), (END,)
# A CALL may end with the place of its first request, where its requests may be forgotten.
IMPORT, LOAD, CALL, DESCRIBE, END = range(5)
# From a worker: [READY, fields], [REFUSED, class, message, attributes], [PART, call, row, part],
# [ANSWER, call, seconds, smallest batch that did not fit, replies], [METRIC, fields…]
READY, REFUSED, PART, ANSWER, METRIC = range(5)

_LENGTH = struct.Struct("<Q")
# Of a reply that is a body: its status, phrase, headers, content type, the body, and if it is JSON.
_BODY_FIELDS = 6
_BIG_INTEGER = 1
_ERRORS = {
    name: found for name in errors.__all__ if issubclass(found := getattr(errors, name), MarError)
}


class ProtocolError(Exception):
    """A worker sent something that no worker of ours sends."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a worker loads an archive and answers.

    Attributes:
        prepared: The archive, validated and unpacked.
        device: Where the model goes, in place of the recipe's; None keeps that.
        gpu: The GPU whose turn it is, where neither says a device; None for the first.
        explain: Ask for explanations in place of predictions.
        body: Answer with the bytes of HTTP bodies; else with plain values.
        overlap: Let the stages of different calls overlap where the handler allows it.
        steps: Of a handler with ``continuousBatching``, answer one step at a call; one that fails
            fails for all its requests.
        metrics: Send each value of ``context.metrics``.
        output_dir: Where bytes, tensors and pictures go; None sends them back.
        output_shown: How the user named that folder.
    """

    prepared: Prepared
    device: str | None = None
    gpu: int | None = None
    explain: bool = False
    body: bool = False
    overlap: bool = True
    steps: bool = False
    metrics: bool = False
    output_dir: Path | None = None
    output_shown: Path | None = None


class Ready(NamedTuple):
    """What a worker says when its handler is initialized.

    Attributes:
        model_name: The model's name.
        version: The model's version, or None.
        handler: The handler as the manifest names it.
        batch_size: Requests in a batch, as the archive or the recipe wishes.
        by_length: Whether requests of one length make a faster batch.
        independent: Whether the stages of different calls overlap.
        depth: How many calls at once keep the worker busy.
        explains: Whether the handler explains its answers.
        device: ``cpu``, or the accelerator.
        runtime: The manifest's ``runtime``.
        config: The archive's model-config.yaml, as plain values.
        seconds: How long it took to initialize the handler.
    """

    model_name: str
    version: str | None
    handler: str
    batch_size: int
    by_length: bool
    independent: bool
    depth: int
    explains: bool
    device: str
    runtime: str
    config: dict[str, Any]
    seconds: dict[str, float]


class Reply(NamedTuple):
    """What became of one request.

    Attributes:
        status: The HTTP status: what the handler set, or the failure's, else 200.
        phrase: The status phrase that the handler set, or empty.
        headers: The headers that the handler set.
        content_type: The content type among them, or None.
        body: The answer as TorchServe encodes it; empty for a failure, and where plain values were
            asked for.
        json: Whether the body is JSON that was made of the handler's result.
        failure: Why there is no answer, or None. Its ``public`` is for the client, the rest for the
            log.
        parts: What the handler sent ahead, where nobody took it as it was made.
        value: The result as plain values, where these were asked for.
    """

    status: int = 200
    phrase: str = ""
    headers: dict[str, str] = {}  # noqa: RUF012 - a NamedTuple's default, never changed
    content_type: str | None = None
    body: bytes = b""
    json: bool = False
    failure: Failure | None = None
    parts: Sequence[Any] = ()
    value: Any = None

    @property
    def public(self) -> str:
        """What a server may tell its client about a failure; empty where there is none."""
        return "" if self.failure is None else self.failure.public


# A frame for a worker, which knows its own length, of messages.
to_worker: Callable[[Sequence[tuple[Any, ...]]], bytes] = functools.partial(
    pickle.dumps, protocol=5
)


def from_worker(messages: Sequence[Sequence[Any]]) -> bytes:
    """A frame for the parent."""
    payload = msgpack.packb(messages, default=_unusual, unicode_errors="surrogatepass")
    return _LENGTH.pack(len(payload)) + bytes(payload)


def frames(stream: BinaryIO) -> Iterator[list[tuple[Any, ...]]]:
    """The messages of each frame that a parent sends, until it is gone."""
    with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):  # cut off: it is gone
        while True:
            yield pickle.Unpickler(stream).load()  # noqa: S301 - from the parent: see above


class Inbox:
    """What has come from a worker: bytes in, messages out."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[list[Any]]:
        """Take bytes in.

        Returns:
            The messages that are whole now.

        Raises:
            ProtocolError: They are not what a worker of ours sends.
        """
        held = self._data
        held += data
        messages: list[list[Any]] = []
        start, header = 0, _LENGTH.size
        while len(held) >= start + header:
            end = start + header + _LENGTH.unpack_from(held, start)[0]
            if len(held) < end:
                break
            messages += _messages(bytes(memoryview(held)[start + header : end]))
            start = end
        if start:
            del held[:start]
        return messages


def reply_of(fields: Sequence[Any]) -> Reply:
    """A reply from its fields, as they come from a worker.

    Of a plain value it is that alone; of a body the last ones, as they are by default, are missing.

    Raises:
        ProtocolError: They are not as many as a reply has.
    """
    count = len(fields)
    if count == 1:
        return Reply(value=fields[0])
    if count not in {_BODY_FIELDS, len(Reply._fields)}:
        raise ProtocolError("a worker sent a reply that is none")
    reply = Reply(*fields)
    if reply.parts:
        reply = reply._replace(parts=tuple(reply.parts))
    failure = reply.failure
    return reply if failure is None else reply._replace(failure=Failure(**_strings(failure)))


def refused(error: BaseException) -> list[Any]:
    """The message of a worker that cannot load its archive."""
    if not isinstance(error, MarError):
        text = f"The archive cannot be loaded: {type(error).__name__}: {text_of(error)}"
        error = HandlerError(text, stage="load", hint=getattr(error, "hint", None))
    cause = error if error.__cause__ is None else error.__cause__
    state = {key: value for key, value in vars(error).items() if _is_plain(value)}
    state["traceback"] = own_lines(cause)
    classes = [cls.__name__ for cls in type(error).__mro__ if cls.__name__ in _ERRORS]
    return [REFUSED, classes[0], error.message, state]


def refused_with(message: Sequence[Any]) -> MarError:
    """The error that a worker was refused with.

    Raises:
        ProtocolError: It is none.
    """
    _, name, text, state = message
    if name not in _ERRORS or not isinstance(state, dict):
        raise ProtocolError("a worker sent an error that is none of ours")
    error: MarError = _ERRORS[name].__new__(_ERRORS[name])
    Exception.__init__(error, str(text))
    error.__dict__.update({"hint": None, **state, "message": str(text)})
    return error


def _messages(payload: bytes) -> Iterable[list[Any]]:
    try:
        found = msgpack.unpackb(
            payload, strict_map_key=False, unicode_errors="surrogatepass", ext_hook=_usual
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise ProtocolError(f"a worker sent what cannot be read: {error}") from error
    if not isinstance(found, list):
        raise ProtocolError("a worker sent no messages")
    return found


def _unusual(value: Any) -> Any:
    if isinstance(value, Failure):
        return dataclasses.astuple(value)
    if isinstance(value, int):
        size = value.bit_length() // 8 + 1
        return msgpack.ExtType(_BIG_INTEGER, value.to_bytes(size, "little", signed=True))
    raise TypeError(f"{type(value).__name__} is no plain value")


def _usual(code: int, data: bytes) -> Any:
    if code != _BIG_INTEGER:
        raise ValueError(f"an extension of type {code}")
    return int.from_bytes(data, "little", signed=True)


def _strings(failure: Any) -> dict[str, Any]:
    if not isinstance(failure, list) or len(failure) != 6:  # noqa: PLR2004 - Failure's fields
        raise ProtocolError("a worker sent a failure that is none")
    stage, kind, message, code, trace, public = failure
    return {
        "stage": str(stage), "type": str(kind), "message": str(message),
        "code": int(code), "traceback": str(trace), "public": str(public),
    }  # fmt: skip


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))
