"""Generated text on its way out while it is generated, for every request of a batch."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from transformers.generation.streamers import BaseStreamer, TextStreamer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Streams"]


class Streams(BaseStreamer):  # type: ignore[misc]  # transformers is untyped here
    """Give it to `generate(streamer=…)`.

    Args:
        tokenizer: The tokenizer.
        size: How many requests the batch holds.
        send: Takes a request's place in the batch and a piece of its text.
    """

    def __init__(self, tokenizer: Any, size: int, send: Callable[[int, str], None]) -> None:
        self._rows = [_Row(tokenizer, functools.partial(send, place)) for place in range(size)]

    @property
    def tails(self) -> list[str]:
        """The last piece of each text, which has not been sent."""
        return [row.tail for row in self._rows]

    def put(self, value: Any) -> None:
        """Take the prompts, of shape `[batch, length]`, or the next token of each, `[batch]`."""
        for place, row in enumerate(self._rows):
            row.put(value[place : place + 1])

    def end(self) -> None:
        """Take note that nothing more comes."""
        for row in self._rows:
            row.end()


class _Row(TextStreamer):  # type: ignore[misc]
    """One request's text, in whole words."""

    def __init__(self, tokenizer: Any, send: Callable[[str], None]) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._send = send
        self.tail = ""

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:  # noqa: FBT001, FBT002
        if stream_end:
            self.tail = text
        elif text:
            self._send(text)
