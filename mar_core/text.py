"""What is printed: numbers as people read them, strangers' text that leaves a terminal alone.

Warnings and log lines are one line each on standard error, which begins with ``mar:``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "did_you_mean", "first_line", "nearest", "plural", "printable", "printable_lines",
    "show_messages", "size_in_words", "suggestion",
]  # fmt: skip

_STEP = 1024


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a name that is not known: ``; is 'topk' meant?``, or nothing.

    Args:
        name: What somebody wrote.
        known: What they may have meant.
    """
    names = list(known)
    # Other ways to write the same word are nearest of all.
    same = [one for one in names if _bare(one) == _bare(name)]
    found = next(iter([*same, *nearest(name, names)]), None)
    return "" if found is None else f"; is {found!r} meant?"


def _bare(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def suggestion(name: str, known: Iterable[str], form: str = "{}") -> str:
    """A hint about a name that is not known: ``Did you mean topk?``, or nothing.

    Args:
        name: What somebody wrote.
        known: What they may have meant.
        form: How what they may have meant is written, with ``{}`` in its place.
    """
    return "".join(f"Did you mean {form.format(one)}?" for one in nearest(name, known))


def nearest(name: str, known: Iterable[str], *, most: int = 1) -> list[str]:
    """The known names that look like another one, the best first."""
    import difflib  # for those who misspell

    return difflib.get_close_matches(name, list(known), n=most)


def first_line(error: BaseException) -> str:
    """The first line of what an error says, without its stop, or its type where it says nothing."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


def plural(count: int, word: str) -> str:
    """A regular noun, in the form that goes with a number."""
    return word if count == 1 else f"{word}s"


def printable(text: str) -> str:
    """Text from an archive or an input, safe on a terminal, in one line.

    Control characters can move the cursor or change what was printed before, and characters of
    direction can make a name look like another one: both are escaped.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def printable_lines(text: str) -> str:
    """The same for text of several lines: ends of lines stay."""
    return "\n".join(printable(line) for line in text.split("\n"))


def size_in_words(count: int) -> str:
    """A number of bytes, such as ``3.4 MiB``."""
    size, units = float(count), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while size >= _STEP and len(units) > 1:
        size, units = size / _STEP, units[1:]
    return f"{count} bytes" if units[0] == "bytes" else f"{size:.1f} {units[0]}"


def show_messages() -> None:
    """Make warnings and logs of this process lines for people.

    A ``MarWarning`` loses its file and line, which say nothing to who types a command; other
    warnings stay as Python shows them.
    """
    import logging
    import warnings

    from mar_core.errors import MarWarning

    show = warnings.showwarning

    def show_line(
        message: Warning | str, category: type[Warning], *where: Any, **more: Any
    ) -> None:
        if issubclass(category, MarWarning):
            _say(f"warning: {message}")
        else:
            show(message, category, *where, **more)

    class LineHandler(logging.Handler):
        """Writes to what standard error is now: a progress bar may have taken its place."""

        def emit(self, record: logging.LogRecord) -> None:
            _say(f"{record.levelname.lower()}: {record.getMessage()}")

    warnings.showwarning = show_line
    logger = logging.getLogger("mar_core")
    logger.addHandler(LineHandler())
    logger.propagate = False
    for name in ("mar_core.plugins.manager", "mar_core.environments"):
        logging.getLogger(name).setLevel(logging.INFO)


def _say(message: str) -> None:
    print(f"mar: {printable(' '.join(message.split()))}", file=sys.stderr)
