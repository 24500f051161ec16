"""``ts.handler_utils.hf_batch_streamer``: a batch's texts while they are generated."""

from __future__ import annotations

from typing import Any

__all__ = ["TextIteratorStreamerBatch"]


class TextIteratorStreamerBatch:
    """One ``TextIteratorStreamer`` for each request; give it to ``generate(streamer=…)``.

    Iterating gives, for each step, a list with ``{"text": …}`` for each request, and ends with the
    first request that has no more.

    Args:
        tokenizer: The tokenizer.
        batch_size: How many requests the batch holds.
        skip_prompt: Leave the prompt out.
        timeout: Seconds to wait for a text, or None.
        **decode_kwargs: Handed to the tokenizer's ``decode``.

    Raises:
        ModuleNotFoundError: transformers is not installed.
    """

    def __init__(
        self,
        tokenizer: Any,
        batch_size: int,
        skip_prompt: bool = False,  # noqa: FBT001, FBT002 - TorchServe's signature
        timeout: float | None = None,
        **decode_kwargs: Any,
    ) -> None:
        from transformers.generation.streamers import TextIteratorStreamer

        self.batch_size = batch_size
        self.streamers = [
            TextIteratorStreamer(tokenizer, skip_prompt, timeout, **decode_kwargs)
            for _ in range(batch_size)
        ]
        self.streamer_iterators = [iter(streamer) for streamer in self.streamers]

    def put(self, value: Any) -> None:
        """Take the next token of each request, or the prompts, shape ``(batch, …)``.

        Raises:
            ValueError: The batch is of another size.
        """
        if value.shape[0] != self.batch_size:
            raise ValueError(f"The batch holds {self.batch_size} requests, not {value.shape[0]}.")
        for index, streamer in enumerate(self.streamers):
            streamer.put(value[index : index + 1])

    def end(self) -> None:
        """Say that all requests are done."""
        for streamer in self.streamers:
            streamer.end()

    def __iter__(self) -> TextIteratorStreamerBatch:
        return self

    def __next__(self) -> list[dict[str, str]]:
        end = object()
        texts: list[Any] = [next(iterator, end) for iterator in self.streamer_iterators]
        if end in texts:
            raise StopIteration
        return [{"text": text} for text in texts]
