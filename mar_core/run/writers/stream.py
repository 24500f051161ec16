"""JSON lines on standard output, or into a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

from mar_core.run.writers.base import Writer

if TYPE_CHECKING:
    from mar_core.run.writers.blobs import BlobFolder

__all__ = ["StreamWriter"]


class StreamWriter(Writer):
    """Writes JSON lines to a stream, each batch at once; it cannot be resumed.

    Args:
        stream: Where to; standard output by default. UTF-8 whatever its encoding.
        blobs: Where bytes, tensors and pictures go.
        details: Write down what the handler said about its answers, too.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        blobs: BlobFolder | None = None,
        details: bool = False,
    ) -> None:
        super().__init__(blobs=blobs, details=details)
        self._stream = stream if stream is not None else sys.stdout
        self._bytes: Any = getattr(self._stream, "buffer", None)

    def _put(self, lines: bytes) -> None:
        self._stream.flush()
        if self._bytes is None:
            self._stream.write(lines.decode("utf-8"))
        else:
            self._bytes.write(lines)
        self.flush()

    def flush(self) -> None:
        """Hand everything on."""
        (self._bytes or self._stream).flush()
