"""Standard output for results alone: what a handler prints goes to standard error."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["private_stdout"]

STDOUT, STDERR = 1, 2


@contextlib.contextmanager
def private_stdout() -> Iterator[TextIO]:
    """Keep standard output for the caller, whatever a handler prints, in Python or in C.

    Inside, file descriptor 1 is standard error. Where ``sys.stdout`` has been replaced by something
    without a descriptor, as tests do, only Python's own printing is kept away.

    Yields:
        The stream that still reaches standard output.
    """
    if not _is_real(sys.stdout):
        stream = sys.stdout
        with contextlib.redirect_stdout(sys.stderr):
            yield stream
        return
    sys.stdout.flush()
    saved = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)
    terminal = os.isatty(saved)
    try:
        # Closing the stream does not close the descriptor: it is needed to put things back.
        with io.open(  # noqa: UP020 - Path has no way to open a descriptor
            saved, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors,
            buffering=1 if terminal else -1, closefd=False,
        ) as stream:  # fmt: skip
            yield stream
    finally:
        _flush_all()
        os.dup2(saved, STDOUT)
        os.close(saved)


def _is_real(stream: TextIO) -> bool:
    try:
        return stream.fileno() == STDOUT
    except (OSError, ValueError, AttributeError):
        return False


def _flush_all() -> None:
    """Let out what was printed before standard output is back, C's buffers included."""
    sys.stdout.flush()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).fflush(None)
