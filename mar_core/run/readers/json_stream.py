"""A JSON document element by element, so that a long array never is in memory whole."""

from __future__ import annotations

import codecs
import functools
import itertools
import json
import re
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from mar_core.errors import InputError
from mar_core.records import MAX_INPUT_SIZE
from mar_core.run.readers.sources import too_large
from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["elements", "pieces"]

CHUNK = 1 << 16
# A fault this close to the end of what has been read may be a token that goes on behind it.
LONGEST_TOKEN = len("-Infinity") + len("\\ud83d")
_BEHIND = frozenset(",]} \t\n\r")
_TORN = object()
_SPACE = re.compile(r"[ \t\n\r]*")


def pieces(stream: BinaryIO) -> Iterator[bytes]:
    """What is left of a stream, in pieces."""
    return iter(functools.partial(stream.read, CHUNK), b"")


def elements(
    document: Iterator[bytes], source: str, *, limit: int = MAX_INPUT_SIZE
) -> Iterator[tuple[int, Any, int]]:
    """The elements of the array that a document is, or the document itself.

    Args:
        document: The document's pieces, UTF-8, with or without a byte order mark.
        source: What to call it in errors.
        limit: The most characters of one element.

    Yields:
        The element's number from 1, or 0 for a document that is no array; its value; and its
        length in characters.

    Raises:
        InputError: The document is not JSON; the elements before the fault have been given.
    """
    text = _Text(document, source, limit)
    if text.peek() == "[":
        yield from _array(text)
    else:
        yield 0, *text.value()
    if text.peek():
        text.fail("there is something behind its end")


def _array(text: _Text) -> Iterator[tuple[int, Any, int]]:
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return
    for number in itertools.count(1):
        yield number, *text.value()
        if text.take(",]") == "]":
            return


class _Text:
    """A window that moves over a text."""

    def __init__(self, document: Iterator[bytes], source: str, limit: int) -> None:
        self.document = document
        self.source = printable(source)
        self.limit = limit
        self.bytes_to_text = codecs.getincrementaldecoder("utf-8-sig")()
        self.decoder = json.JSONDecoder()
        self.window = ""
        self.position = 0
        self.passed = 0
        self.ended = False

    def fail(self, reason: str) -> NoReturn:
        """Say what is wrong at the current position."""
        where = self.passed + self.position
        raise InputError(f"{self.source} is not JSON at character {where}: {reason}.")

    def grow(self, count: int = 1) -> None:
        """Drop what has been taken, and read so many pieces on."""
        piece = b"".join(itertools.islice(self.document, count))
        self.ended = not piece
        try:
            decoded = self.bytes_to_text.decode(piece, final=self.ended)
        except UnicodeDecodeError:
            self.fail("it is not UTF-8")
        self.passed += self.position
        self.window = self.window[self.position :] + decoded
        self.position = 0

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            space = _SPACE.match(self.window, self.position)
            self.position = space.end() if space else self.position
            if self.position < len(self.window):
                return self.window[self.position]
            if self.ended:
                return ""
            self.grow()

    def take(self, wanted: str) -> str:
        """Take the next character, which must be one of these."""
        char = self.peek()
        if not char or char not in wanted:
            self.fail(f"`{'` or `'.join(wanted)}` is missing")
        self.position += 1
        return char

    def value(self) -> tuple[Any, int]:
        """Take the value that begins at the next character, and say how long it is."""
        self.peek()
        count = 1
        while True:
            value, end = self._try_value()
            if self.ended or (value is not _TORN and self._is_whole(end)):
                break
            if len(self.window) - self.position > self.limit:
                raise too_large(f"A value in {self.source}", self.limit)
            self.grow(count)
            count *= 2  # so that one long value is not parsed again for each of its pieces
        length = end - self.position
        if length > self.limit:
            raise too_large(f"A value in {self.source}", self.limit)
        self.position = end
        return value, length

    def _try_value(self) -> tuple[Any, int]:
        """The value and its end, or ``_TORN`` when the window ends within it."""
        try:
            value, end = self.decoder.raw_decode(self.window, self.position)
        except RecursionError:
            self.fail("it is nested too deep")
        except json.JSONDecodeError as error:
            torn = error.msg.startswith("Unterminated") or (
                error.pos >= len(self.window) - LONGEST_TOKEN
            )
            if self.ended or not torn:
                self.position = error.pos
                self.fail(error.msg[:1].lower() + error.msg[1:])
            return _TORN, 0
        return value, end

    def _is_whole(self, end: int) -> bool:
        """Whether a value ends there: ``12`` may go on as ``123``, ``12.5`` or ``12e5``."""
        following = self.window[end : end + 1]
        return following in _BEHIND or end < len(self.window) - LONGEST_TOKEN
