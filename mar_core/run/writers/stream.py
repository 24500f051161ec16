"""JSON lines on standard output, or into a pipe."""

from __future__ import annotations

import contextlib
import errno
import sys
from typing import TYPE_CHECKING, Any, TextIO

from mar_core.errors import OutputError
from mar_core.run.writers.base import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mar_core.records import Outcome, WriteOptions
    from mar_core.runtime.values import Save

__all__ = ["StreamOutput"]


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

    def _put(self, outcomes: list[Outcome]) -> None:
        rows = self._lines(outcomes)
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
