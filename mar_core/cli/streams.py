"""Standard input, output and error as the user left them: closed, full, or a pipe nobody reads."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import Any

__all__ = ["finish_stdout", "open_streams", "stream_fault"]

_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF, errno.EIO}


def open_streams() -> None:
    """Put something in the place of closed streams.

    Else the next file that is opened would get their number, and what a handler prints would be
    written into it. Standard output becomes one that fails when it is written to.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest number that is free is this one.
            os.open(os.devnull, os.O_WRONLY if descriptor == 2 else os.O_RDONLY)  # noqa: PLR2004
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    encoding = sys.stderr.encoding
    buffer: Any = sys.stderr.detach()  # type: ignore[union-attr]
    sys.stderr = _Forgiving(
        buffer, encoding=encoding, errors="backslashreplace", line_buffering=True
    )


class _Forgiving(io.TextIOWrapper):
    """Standard error: what cannot be said there is no reason to fail."""

    def write(self, text: str, /) -> int:
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


def finish_stdout() -> str:
    """Let out what is still in the buffer; what went wrong, if anything did."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _drop_stdout()
        return stream_fault(error)
    except ValueError:  # it has been closed
        pass
    return ""


def stream_fault(error: OSError) -> str:
    """The sentence for a standard output that cannot be written to.

    Empty where it is a pipe whose reader has left, which is no failure, or another error.
    """
    if error.filename is not None or error.errno not in _FAULTS:
        return ""
    if error.errno == errno.EBADF:
        return "Standard output is closed. Open it, or name a file to write to."
    _drop_stdout()
    return f"Standard output cannot be written: {error.strerror}."


def _drop_stdout() -> None:
    """What is left in the buffer must not be tried again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
