"""Where the outcomes of a run go, whatever the format, and a row: an outcome as JSON."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import errno
import http
import json
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO

from mar_core.errors import OutputError
from mar_core.records import PLAIN_RESPONSE, Failure, WriteOptions
from mar_core.run.shapes import best
from mar_core.runtime.values import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Self

    from mar_core.records import Outcome, Response
    from mar_core.run.writers.journal import DoneIds
    from mar_core.runtime.values import Save

__all__ = ["Output", "StreamOutput", "dump", "judged", "parse", "to_row"]

# The stage of a failure that the handler itself chose: its answer is in the row, too.
ANSWERED = "response"
BAD = 400
_MORE_HINTS = (
    (
        re.compile(r"\ba (?:dict|list) is no text", re.IGNORECASE),
        "Send one value of a row with --column NAME.",
    ),
)
STAGES = frozenset({"preprocess", "inference", "explain"})
_WANTS_BYTES = "The handler expects bytes: send the file with -T, or rows with --raw."
_WANTS_JSON = (
    "The handler expects JSON that is parsed: send it with -H 'content-type: application/json'."
)
_WANTS_TEXT = "The handler expects text: send it with -H 'content-type: text/plain'."
_PARSED = r"'?(?:dict|str|list|int|float)'?"
_BYTES = r"'?(?:bytearray|bytes)'?"
_HINTS = (
    (re.compile(rf"{_PARSED} object has no attribute '(?:decode|hex)'"), _WANTS_BYTES),
    (re.compile(rf"a bytes-like object is required, not {_PARSED}"), _WANTS_BYTES),
    (re.compile(rf"must be str, bytes or bytearray, not {_PARSED}"), _WANTS_BYTES),
    (
        re.compile(rf"{_BYTES} object has no attribute '(?:get|items|keys|values|pop|append)'"),
        _WANTS_JSON,
    ),
    (re.compile(r"byte(?:array)? indices must be integers or slices, not str"), _WANTS_JSON),
    (re.compile(rf"{_BYTES} object has no attribute '(?:encode|format|casefold)'"), _WANTS_TEXT),
)
# What JSON leaves as it is, and what a terminal obeys, or shows something else by: DEL, the control
# characters above ASCII, and those of direction. Escaped it is the same JSON.
_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Output(abc.ABC):
    """Takes the outcomes of a run, batch by batch. Use it as a context manager.

    Args:
        save_for: Makes, for an id, what takes over bytes, tensors and pictures; None keeps them in
            the rows.
        options: How results are written.

    Attributes:
        done: The ids that an earlier run has written.
        failed_before: How many of those rows hold an error.
        done_since: When the run that wrote them began, in nanoseconds; 0 where that is not known.
        previews: Whether rows are to have a preview of their input beside them.
    """

    def __init__(
        self,
        *,
        save_for: Callable[[str], Save] | None = None,
        options: WriteOptions | None = None,
    ) -> None:
        self.done: DoneIds | frozenset[str] = frozenset()
        self.failed_before = 0
        self.done_since = 0
        self.previews = False
        self.options = options or WriteOptions()
        self._save_for = save_for
        self._beside: Mapping[str, Mapping[str, Any]] = {}

    def write(
        self, outcomes: Iterable[Outcome], beside: Mapping[str, Mapping[str, Any]] | None = None
    ) -> list[Outcome]:
        """Write one row for each outcome, all of them at once.

        Args:
            outcomes: What an engine gave.
            beside: For an input's id, what goes into its row beside the result.

        Returns:
            The outcomes as written: one whose result cannot be written down has become a failure of
            the stage ``result``, one with a status of 400 or more a failure of ``response``.

        Raises:
            OutputError: There is no room, or the place has gone.
        """
        written = [self._shown(outcome) for outcome in outcomes]
        self._beside = beside or {}
        self._put(written)
        return written

    def _shown(self, outcome: Outcome) -> Outcome:
        shown = plain(outcome, save=self._save_for)
        if shown.failure is not None or shown.response.status >= BAD:
            shown = judged(shown)
        if self.options.top is None:
            return shown
        return dataclasses.replace(shown, result=best(shown.result, self.options.top))

    def _rows(self, outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
        """The rows of outcomes."""
        details, beside = self.options.details, self._beside
        return [
            to_row(outcome, details=details, beside=beside.get(outcome.id)) for outcome in outcomes
        ]

    def flush(self) -> None:  # noqa: B027 - not every place keeps anything back
        """Wait until all rows are where they should be."""

    def close(self, *, finished: bool = True) -> None:  # noqa: B027 - likewise
        """Let go of the output.

        Args:
            finished: Whether the run came to its end; if not, it can be resumed.
        """

    @abc.abstractmethod
    def _put(self, outcomes: list[Outcome]) -> None:
        """Take outcomes whose results JSON can hold."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(finished=kind is None)


class StreamOutput(Output):
    """Writes JSON lines to a stream, each batch at once; it cannot be resumed.

    Args:
        stream: Where to; standard output by default. UTF-8 whatever its encoding.
        save_for: Makes, for an id, what takes over bytes, tensors and pictures.
        options: How.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        save_for: Callable[[str], Save] | None = None,
        options: WriteOptions | None = None,
    ) -> None:
        super().__init__(save_for=save_for, options=options)
        self._stream = stream if stream is not None else sys.stdout
        self._bytes: Any = getattr(self._stream, "buffer", None)
        self._people = self._stream.isatty()

    def _put(self, outcomes: list[Outcome]) -> None:
        rows = b"".join(map(dump, self._rows(outcomes)))
        if self._people:
            safe = _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", rows.decode("utf-8"))
            rows = safe.encode("utf-8")
        with _writing():
            self._stream.flush()
            if self._bytes is None:
                self._stream.write(rows.decode("utf-8"))
            else:
                self._bytes.write(rows)
            (self._bytes or self._stream).flush()

    def flush(self) -> None:
        """Hand everything on."""
        with _writing():
            (self._bytes or self._stream).flush()


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    """Turn what goes wrong into a sentence; that a pipe's reader leaves is not wrong.

    Raises:
        OutputError: Standard output is full or closed.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno == errno.EBADF:
            raise OutputError(
                "Standard output is closed.", hint="Open it, or name a file with --output."
            ) from error
        raise OutputError(f"Standard output cannot be written: {error.strerror}.") from error


def to_row(
    outcome: Outcome, *, details: bool = False, beside: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The row of an outcome: its id, and its result, its error or, of a refusal, both.

    Args:
        outcome: One whose result JSON can hold; see ``mar_core.runtime.values.plain``.
        details: Add what the handler said about its answer: status, content type, headers.
        beside: What else goes into it.
    """
    row: dict[str, Any] = {"id": outcome.id}
    failure = outcome.failure
    if failure is None or failure.stage == ANSWERED:
        row["result"] = outcome.result
    if failure is not None:
        row["error"] = {
            "stage": failure.stage,
            "type": failure.type,
            "message": failure.message,
            "code": failure.code,
        }
    row |= beside or {}
    if outcome.streamed:
        row["streamed"] = list(outcome.streamed)
    if details and outcome.response != PLAIN_RESPONSE:
        row["response"] = _said(outcome.response)
    return row


def dump(row: Any) -> bytes:
    """A row as one line of UTF-8, its end included."""
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    try:
        return f"{text}\n".encode()
    except UnicodeEncodeError:  # half a surrogate pair, as in the name of a file that is not UTF-8
        return f"{json.dumps(row, allow_nan=False)}\n".encode()


def parse(line: bytes) -> dict[str, Any] | None:
    """The row that a JSON line holds, or None when it is not a whole one."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    named = isinstance(row, dict) and isinstance(row.get("id"), str)
    return row if named else None


def _said(response: Response) -> dict[str, Any]:
    said = {
        "status": response.status,
        "phrase": response.phrase,
        "content_type": response.content_type,
        "headers": dict(response.headers),
    }
    return {name: value for name, value in said.items() if value or name == "status"}


def judged(outcome: Outcome) -> Outcome:
    """The outcome, with a failure where the handler answered with a status of 400 or more.

    The message is the handler's phrase, or its answer where that is text, as a client of TorchServe
    would have read it. The answer stays in the outcome.

    Args:
        outcome: One whose result JSON can hold.
    """
    status = outcome.response.status
    if outcome.failure is not None:
        return _with_hint(outcome, outcome.failure)
    if status < BAD:
        return outcome
    name = _name(status)
    said = outcome.response.phrase.strip()
    if not said and isinstance(outcome.result, str):
        said = outcome.result.strip()
    failure = Failure(stage="response", type=name, message=said or name, code=status)
    return dataclasses.replace(outcome, failure=failure)


def _with_hint(outcome: Outcome, failure: Failure) -> Outcome:
    """Say how to send what the handler expects, where it expects the other of bytes and JSON."""
    if failure.stage not in STAGES:
        return outcome
    hints = _HINTS if failure.type in {"AttributeError", "TypeError"} else _MORE_HINTS
    for pattern, hint in hints:
        if pattern.search(failure.message):
            message = f"{failure.message.rstrip('.')}. {hint}"
            return dataclasses.replace(
                outcome, failure=dataclasses.replace(failure, message=message)
            )
    return outcome


def _name(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"
