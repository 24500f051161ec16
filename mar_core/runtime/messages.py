"""Warnings and log lines on standard error, each one line that begins with ``mar:``."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

from mar_core.errors import MarWarning
from mar_core.text import printable

__all__ = ["show_messages"]


class _LineHandler(logging.Handler):
    """Writes to what standard error is now: a progress bar may have taken its place."""

    def emit(self, record: logging.LogRecord) -> None:
        line = printable(" ".join(record.getMessage().split()))
        print(f"mar: {record.levelname.lower()}: {line}", file=sys.stderr)


def show_messages() -> None:
    """Make warnings and logs of this process lines for people.

    A ``MarWarning`` loses its file and line, which say nothing to who types a command; other
    warnings stay as Python shows them.
    """
    show = warnings.showwarning

    def show_line(
        message: Warning | str, category: type[Warning], *where: Any, **more: Any
    ) -> None:
        if issubclass(category, MarWarning):
            line = printable(" ".join(str(message).split()))
            print(f"mar: warning: {line}", file=sys.stderr)
        else:
            show(message, category, *where, **more)

    warnings.showwarning = show_line
    logger = logging.getLogger("mar_core")
    logger.addHandler(_LineHandler())
    logger.propagate = False
    for name in ("mar_core.plugins.manager", "mar_core.environments"):
        logging.getLogger(name).setLevel(logging.INFO)
