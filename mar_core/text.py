"""What is printed: numbers as people read them, strangers' text that leaves a terminal alone."""

from __future__ import annotations

__all__ = ["first_line", "plural", "printable", "printable_lines", "size_in_words"]

_STEP = 1024


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
