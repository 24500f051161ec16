"""``ts.handler_utils.utils`` and ``hf_batch_streamer``: answers in parts, and classes by name."""

from __future__ import annotations

import importlib
from typing import Any

from mar_core.ts.otf_message_handler import send_intermediate_predict_response

__all__ = ["TextIteratorStreamerBatch", "import_class", "send_intermediate_predict_response"]


def import_class(class_name: str, module_prefix: str | None = None) -> Any:
    """A class by its dotted name.

    Args:
        class_name: ``module.Class``, or ``Class`` where the prefix is its module.
        module_prefix: What to put before the module's name.

    Raises:
        ImportError: There is no such module, or no such class in it.
    """
    module_name, _, name = (class_name or "").rpartition(".")
    path = ".".join(part for part in (module_prefix, module_name) if part)
    if not name or not path:
        raise ImportError(f"{class_name!r} must be a module and a class, as in `package.Class`.")
    module = importlib.import_module(path)
    if not hasattr(module, name):
        raise ImportError(f"The module {path} has no class {name!r}.")
    return getattr(module, name)


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
